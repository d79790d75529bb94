/* Names in the file system: rename, unlink, mkdir, readdir, stat. */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static JSValue rename_path(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT from = path_argument(ctx, argv[0]);
  OWNED_TEXT to = path_argument(ctx, argv[1]);
  if (from.bytes == NULL || to.bytes == NULL) return JS_EXCEPTION;
  return rename(from.bytes, to.bytes) == 0 ? JS_UNDEFINED : throw_errno(ctx, errno, "rename", from.bytes);
}

static JSValue remove_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  return unlink(path.bytes) == 0 ? JS_UNDEFINED : throw_errno(ctx, errno, "unlink", path.bytes);
}

static JSValue remove_dir(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  return rmdir(path.bytes) == 0 ? JS_UNDEFINED : throw_errno(ctx, errno, "rmdir", path.bytes);
}

/* mkdir(2) of one directory; EEXIST is success. */
static bool make_dir(const char *path, mode_t mode) {
  if (mkdir(path, mode) == 0) return true;
  if (errno != EEXIST) return false;
  struct stat status;
  if (stat(path, &status) != 0) return false;
  if (S_ISDIR(status.st_mode)) return true;
  errno = ENOTDIR;
  return false;
}

/* Tries the whole path first, because it usually exists; then each directory from the first. */
static bool make_dirs(const char *path, mode_t mode) {
  if (make_dir(path, mode)) return true;
  if (errno != ENOENT) return false;
  char prefix[4096];
  size_t length = strlen(path);
  if (length >= sizeof prefix) {
    errno = ENAMETOOLONG;
    return false;
  }
  for (size_t i = 1; i <= length; i++) {
    if (i < length && path[i] != '/') continue;
    memcpy(prefix, path, i);
    prefix[i] = 0;
    if (!make_dir(prefix, mode)) return false;
  }
  return true;
}

static JSValue make_dirs_call(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int mode;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL || !int_argument(ctx, argv[1], &mode)) return JS_EXCEPTION;
  return make_dirs(path.bytes, (mode_t)mode) ? JS_UNDEFINED : throw_errno(ctx, errno, "mkdir", path.bytes);
}

static JSValue list_dir(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  DIR *directory = opendir(path.bytes);
  if (directory == NULL) return throw_errno(ctx, errno, "opendir", path.bytes);
  JSValue names = JS_NewArray(ctx);
  uint32_t count = 0;
  const struct dirent *entry;
  while (errno = 0, (entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    JS_SetPropertyUint32(ctx, names, count++, JS_NewString(ctx, entry->d_name));
  }
  int number = errno;
  closedir(directory);
  if (number == 0) return names;
  JS_FreeValue(ctx, names);
  return throw_errno(ctx, number, "readdir", path.bytes);
}

/* trustDirectory(path): whether only this user can write to it. */
static JSValue trust_directory(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  struct stat status;
  if (lstat(path.bytes, &status) != 0) return errno == ENOENT ? JS_UNDEFINED : throw_errno(ctx, errno, "lstat", path.bytes);
  if (S_ISLNK(status.st_mode)) return throw_errno(ctx, ELOOP, "trust", path.bytes);
  if (!S_ISDIR(status.st_mode)) return throw_errno(ctx, ENOTDIR, "trust", path.bytes);
  bool ours = status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return ours ? JS_UNDEFINED : throw_errno(ctx, EPERM, "trust", path.bytes);
}

static JSValue stat_path(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  struct stat status;
  if (stat(path.bytes, &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return JS_UNDEFINED;
    return throw_errno(ctx, errno, "stat", path.bytes);
  }
  const char *kind = S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other";
  JSValue result = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, result, "kind", JS_NewString(ctx, kind));
  set_number(ctx, result, "size", (double)status.st_size);
  set_number(ctx, result, "mode", (double)(status.st_mode & 07777));
  set_number(ctx, result, "device", (double)status.st_dev);
  set_number(ctx, result, "inode", (double)status.st_ino);
  set_number(ctx, result, "modifiedMs", (double)status.st_mtim.tv_sec * 1e3 + (double)(status.st_mtim.tv_nsec / 1000) / 1e3);
  return result;
}

const JSCFunctionListEntry directories_functions[] = {
    JS_CFUNC_DEF("rename", 2, rename_path),       JS_CFUNC_DEF("removeFile", 1, remove_file),
    JS_CFUNC_DEF("removeDir", 1, remove_dir),     JS_CFUNC_DEF("makeDirs", 2, make_dirs_call),
    JS_CFUNC_DEF("listDir", 1, list_dir),         JS_CFUNC_DEF("stat", 1, stat_path),
    JS_CFUNC_DEF("trustDirectory", 1, trust_directory),
};
DEFINE_LIST(directories)
