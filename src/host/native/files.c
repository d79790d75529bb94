/*
 * Whole files: read, write, create, replace, append.
 *
 * A reader sees the whole file or nothing: a new file is written without a name and then linked to its name; an existing one is written
 * under the name `.tmp-<16 hex digits>` in the same directory and then renamed. A process killed before the rename leaves the temporary
 * file behind.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_LIMIT ((size_t)64 << 20)

int open_retrying(const char *path, int flags, int mode) {
  int fd;
  while ((fd = open(path, flags | O_CLOEXEC, mode)) < 0 && errno == EINTR) continue;
  return fd;
}

ssize_t read_some(int fd, Buffer *buffer, size_t limit) {
  if (!buffer_reserve(buffer, 4096)) return -1;
  ssize_t count;
  while ((count = read(fd, buffer->bytes + buffer->length, buffer->capacity - buffer->length)) < 0 && errno == EINTR) continue;
  if (count > 0) buffer->length += (size_t)count;
  if (buffer->length <= limit) return count;
  errno = EFBIG;
  return -1;
}

bool read_all(int fd, Buffer *buffer, size_t limit) {
  ssize_t count;
  while ((count = read_some(fd, buffer, limit)) > 0) continue;
  return count == 0;
}

bool write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(fd, bytes, length);
    if (count < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

/* readFile(path, links refused). O_NONBLOCK: if the path is a FIFO, we must not wait for its writer. */
static JSValue read_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  int links = JS_ToBool(ctx, argv[1]) ? O_NOFOLLOW : 0;
  OWNED_FD fd = open_retrying(path.bytes, O_RDONLY | O_NOCTTY | O_NONBLOCK | links, 0);
  if (fd < 0) return throw_errno(ctx, errno, "open", path.bytes);
  OWNED_BUFFER buffer = scratch_buffer();
  if (!read_all(fd, &buffer, READ_LIMIT)) return throw_errno(ctx, errno, "read", path.bytes);
  return JS_NewStringLen(ctx, buffer.bytes, buffer.length);
}

/* One write(2), because the kernel takes a sysctl's value only from the first one. */
static bool write_once(int fd, Text text) {
  ssize_t count;
  while ((count = write(fd, text.bytes, text.length)) < 0 && errno == EINTR) continue;
  if (count >= 0 && (size_t)count < text.length) errno = ENOSPC;
  return count >= 0 && (size_t)count == text.length;
}

static JSValue write_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  OWNED_TEXT text = text_argument(ctx, argv[1]);
  if (path.bytes == NULL || text.bytes == NULL) return JS_EXCEPTION;
  OWNED_FD fd = open_retrying(path.bytes, O_WRONLY | O_NOCTTY, 0);
  if (fd < 0) return throw_errno(ctx, errno, "open", path.bytes);
  return write_once(fd, text) ? JS_UNDEFINED : throw_errno(ctx, errno, "write", path.bytes);
}

/* The length of the path's directory, including the slash; 0 for a name alone. */
static size_t directory_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Creates and writes the temporary file in the same directory. Returns the name of the failed call, or NULL. */
static const char *write_temporary(const char *path, char *name, size_t size, Text text, int mode, bool durable) {
  uint64_t tag;
  if (getrandom(&tag, sizeof tag, 0) != sizeof tag) return "getrandom";
  int length = snprintf(name, size, "%.*s.tmp-%016llx", (int)directory_length(path), path, (unsigned long long)tag);
  if (length < 0 || (size_t)length >= size) {
    errno = ENAMETOOLONG;
    return "open";
  }
  OWNED_FD fd = open_retrying(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (fd < 0) return "open";
  if (write_all(fd, text.bytes, text.length) && (!durable || fsync(fd) == 0)) return NULL;
  int number = errno;
  unlink(name);
  errno = number;
  return "write";
}

static void directory_of(const char *path, char *directory, size_t size) {
  size_t length = directory_length(path);
  snprintf(directory, size, "%.*s", length == 0 ? 1 : (int)length, length == 0 ? "." : path);
}

static const char *sync_directory(const char *path) {
  char directory[4096];
  directory_of(path, directory, sizeof directory);
  OWNED_FD fd = open_retrying(directory, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return "open";
  return fsync(fd) == 0 ? NULL : "fsync";
}

/* Through a temporary name, for file systems without O_TMPFILE. link(2) rejects an existing name, unlike rename(2). */
static const char *create_by_temporary(const char *path, Text text, int mode) {
  char name[4096];
  const char *failed = write_temporary(path, name, sizeof name, text, mode, false);
  if (failed != NULL) return failed;
  int number = link(name, path) == 0 ? 0 : errno;
  unlink(name);
  errno = number;
  return number == 0 ? NULL : "link";
}

/* Creates the complete file, or nothing. Returns the name of the failed call, or NULL. */
static const char *create_whole(const char *path, Text text, int mode) {
  char directory[4096], self[32];
  directory_of(path, directory, sizeof directory);
  OWNED_FD fd = open_retrying(directory, O_WRONLY | O_TMPFILE, mode);
  if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR) return "open";
  if (fd < 0) return create_by_temporary(path, text, mode);
  if (!write_all(fd, text.bytes, text.length)) return "write";
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) return NULL;
  return errno == ENOENT ? create_by_temporary(path, text, mode) : "link"; /* ENOENT: there is no /proc */
}

/* createFile(path, text, mode) */
static JSValue create_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int mode;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  OWNED_TEXT text = text_argument(ctx, argv[1]);
  if (path.bytes == NULL || text.bytes == NULL || !int_argument(ctx, argv[2], &mode)) return JS_EXCEPTION;
  const char *failed = create_whole(path.bytes, text, mode);
  return failed == NULL ? JS_UNDEFINED : throw_errno(ctx, errno, failed, path.bytes);
}

/* replaceFile(path, text, mode, durable) */
static JSValue replace_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int mode, durable;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  OWNED_TEXT text = text_argument(ctx, argv[1]);
  if (path.bytes == NULL || text.bytes == NULL) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], &mode) || !int_argument(ctx, argv[3], &durable)) return JS_EXCEPTION;
  char name[4096];
  const char *failed = write_temporary(path.bytes, name, sizeof name, text, mode, durable != 0);
  if (failed != NULL) return throw_errno(ctx, errno, failed, path.bytes);
  if (rename(name, path.bytes) != 0) {
    int number = errno;
    unlink(name);
    return throw_errno(ctx, number, "rename", path.bytes);
  }
  if (durable) failed = sync_directory(path.bytes);
  return failed == NULL ? JS_UNDEFINED : throw_errno(ctx, errno, failed, path.bytes);
}

/* appendFile(path, text, mode): returns the new size. O_NONBLOCK: if the path is a FIFO, we must not wait for its reader. */
static JSValue append_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int mode;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  OWNED_TEXT text = text_argument(ctx, argv[1]);
  if (path.bytes == NULL || text.bytes == NULL || !int_argument(ctx, argv[2], &mode)) return JS_EXCEPTION;
  for (;;) {
    OWNED_FD fd = open_retrying(path.bytes, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
    if (fd < 0) return throw_errno(ctx, errno, "open", path.bytes);
    struct stat status;
    if (fstat(fd, &status) != 0) return throw_errno(ctx, errno, "fstat", path.bytes);
    if (!S_ISREG(status.st_mode)) return throw_errno(ctx, EINVAL, "open", path.bytes);
    if (!write_once(fd, text)) return throw_errno(ctx, errno, "write", path.bytes);
    if (fstat(fd, &status) != 0) return throw_errno(ctx, errno, "fstat", path.bytes);
    /* No link left: another process has deleted the file, and with it what we wrote. */
    if (status.st_nlink > 0) return JS_NewInt64(ctx, status.st_size);
  }
}

const JSCFunctionListEntry files_functions[] = {
    JS_CFUNC_DEF("readFile", 2, read_file),       JS_CFUNC_DEF("writeFile", 2, write_file),
    JS_CFUNC_DEF("createFile", 3, create_file),   JS_CFUNC_DEF("replaceFile", 4, replace_file),
    JS_CFUNC_DEF("appendFile", 3, append_file),
};
DEFINE_LIST(files)
