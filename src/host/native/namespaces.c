/* Network namespaces: opening and verifying one, and running a function inside it. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The thread's namespace; /proc/self would be that of the process's first thread. */
static const char own_path[] = "/proc/thread-self/ns/net";
static int own_fd = -1;

/* Returns 0 or an errno. */
static int remember_own(void) {
  if (own_fd < 0) own_fd = open_retrying(own_path, O_RDONLY, 0);
  return own_fd < 0 ? errno : 0;
}

int enter_netns(int fd) {
  int number = remember_own();
  if (number != 0) return number;
  return setns(fd, CLONE_NEWNET) == 0 ? 0 : errno;
}

/* Dies on failure: continuing in the wrong namespace would change the wrong machine. */
void leave_netns(void) {
  if (setns(own_fd, CLONE_NEWNET) != 0) die("cannot come back from the network namespace", "setns failed");
}

static bool is_netns(int fd) {
  struct statfs filesystem;
  if (fstatfs(fd, &filesystem) != 0 || filesystem.f_type != NSFS_MAGIC) return false;
  return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

static void set_identity(JSContext *ctx, JSValueConst object, const struct stat *status) {
  set_number(ctx, object, "device", (double)status->st_dev);
  set_number(ctx, object, "inode", (double)status->st_ino);
}

/* O_NONBLOCK: if the path is a FIFO, we must not wait for its writer. */
static JSValue open_netns(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  OWNED_FD fd = open_retrying(path.bytes, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (fd < 0) return throw_errno(ctx, errno, "open", path.bytes);
  if (!is_netns(fd)) return throw_errno(ctx, EINVAL, "open", path.bytes);
  struct stat status;
  if (fstat(fd, &status) != 0) return throw_errno(ctx, errno, "fstat", path.bytes);
  JSValue result = JS_NewObject(ctx);
  set_number(ctx, result, "fd", fd);
  set_identity(ctx, result, &status);
  fd = -1;
  return result;
}

static JSValue own_netns(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  struct stat status;
  if (stat(own_path, &status) != 0) return throw_errno(ctx, errno, "stat", own_path);
  JSValue result = JS_NewObject(ctx);
  set_identity(ctx, result, &status);
  return result;
}

/* inNetns(fd, body) */
static JSValue in_netns(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  if (!int_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  int number = enter_netns(fd);
  if (number != 0) return throw_errno(ctx, number, "setns", NULL);
  JSValue result = JS_Call(ctx, argv[1], JS_UNDEFINED, 0, NULL);
  leave_netns();
  return result;
}

/* inNewNetns(body): the namespace ends when nothing in it is open any more. */
static JSValue in_new_netns(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int number = remember_own();
  if (number != 0) return throw_errno(ctx, number, "open", own_path);
  if (unshare(CLONE_NEWNET) != 0) return throw_errno(ctx, errno, "unshare", NULL);
  JSValue result = JS_Call(ctx, argv[0], JS_UNDEFINED, 0, NULL);
  leave_netns();
  return result;
}

const JSCFunctionListEntry namespaces_functions[] = {
    JS_CFUNC_DEF("openNetns", 1, open_netns),
    JS_CFUNC_DEF("ownNetns", 0, own_netns),
    JS_CFUNC_DEF("inNetns", 2, in_netns),
    JS_CFUNC_DEF("inNewNetns", 1, in_new_netns),
};
DEFINE_LIST(namespaces)
