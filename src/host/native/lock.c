/*
 * flock(2) with a deadline, and with information about the last holder.
 *
 * The call sleeps in the kernel, so that it gets a released lock at once; an interval timer ends the sleep. The timer fires repeatedly,
 * because the first signal may arrive just before the process sleeps.
 *
 * The file of an exclusive lock contains "1" while it is held and "0" afterwards: a process that gets the lock and reads "1" knows that the last
 * holder was killed. If the byte cannot be written (no space), the next holder does not learn it.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void wake(int signal) { (void)signal; }

static void set_timer(double milliseconds, double again) {
  struct timeval first = {.tv_sec = (time_t)(milliseconds / 1e3), .tv_usec = (suseconds_t)(milliseconds * 1e3) % 1000000};
  struct timeval interval = {.tv_sec = 0, .tv_usec = (suseconds_t)(again * 1e3)};
  struct itimerval timer = {.it_interval = interval, .it_value = first};
  setitimer(ITIMER_REAL, &timer, NULL);
}

/* Returns 0 or an errno number, ETIMEDOUT after `deadline`. */
static int flock_until(int fd, int operation, double deadline) {
  if (flock(fd, operation | LOCK_NB) == 0) return 0;
  if (errno != EWOULDBLOCK && errno != EINTR) return errno;
  struct sigaction action = {.sa_handler = wake};
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  sigaction(SIGALRM, &action, NULL);
  sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
  int number = ETIMEDOUT;
  for (;;) {
    double left = deadline - monotonic_ms();
    if (left <= 0) break;
    set_timer(left < 1 ? 1 : left, 20);
    number = flock(fd, operation) == 0 ? 0 : errno;
    if (number != EINTR) break;
    number = ETIMEDOUT;
  }
  set_timer(0, 0);
  return number;
}

/* Whether the path still names the open file: another process may have removed it while we waited. */
static bool is_current(int fd, const char *path) {
  struct stat open_file, named;
  if (fstat(fd, &open_file) != 0 || stat(path, &named) != 0) return false;
  return open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* Whether the last holder was killed. */
static bool mark_held(int fd) {
  char state = '0';
  bool abandoned = pread(fd, &state, 1, 0) == 1 && state == '1';
  if (!abandoned && pwrite(fd, "1", 1, 0) != 1) return false;
  return abandoned;
}

/* lock(path, exclusive, timeoutMs): { fd, abandoned } */
static JSValue lock_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int exclusive;
  double timeout_ms;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[1], &exclusive) || !wait_argument(ctx, argv[2], &timeout_ms)) return JS_EXCEPTION;
  double deadline = monotonic_ms() + timeout_ms;
  for (;;) {
    OWNED_FD fd = open_retrying(path.bytes, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return throw_errno(ctx, errno, "open", path.bytes);
    int number = flock_until(fd, exclusive ? LOCK_EX : LOCK_SH, deadline);
    if (number != 0) return throw_errno(ctx, number, "flock", path.bytes);
    if (!is_current(fd, path.bytes)) continue;
    JSValue result = JS_NewObject(ctx);
    set_number(ctx, result, "fd", fd);
    JS_SetPropertyStr(ctx, result, "abandoned", JS_NewBool(ctx, exclusive && mark_held(fd)));
    fd = -1;
    return result;
  }
}

/* unlock(fd), for an exclusive lock; closing the descriptor releases it. */
static JSValue unlock_file(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  if (!int_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  ssize_t ignored = pwrite(fd, "0", 1, 0);
  (void)ignored;
  close(fd);
  return JS_UNDEFINED;
}

static JSValue close_fd(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  if (!int_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  close(fd);
  return JS_UNDEFINED;
}

const JSCFunctionListEntry lock_functions[] = {
    JS_CFUNC_DEF("lock", 3, lock_file),
    JS_CFUNC_DEF("unlock", 1, unlock_file),
    JS_CFUNC_DEF("closeFd", 1, close_fd),
};
DEFINE_LIST(lock)
