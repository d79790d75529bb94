/* The process itself: arguments, environment, standard streams, clocks, random bytes. */
#include "host.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int process_argc;
char **process_argv;
char **process_environment;

double monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static JSValue args(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  JSValue list = JS_NewArray(ctx);
  for (int i = 0; i < process_argc; i++) JS_SetPropertyUint32(ctx, list, (uint32_t)i, JS_NewString(ctx, process_argv[i]));
  return list;
}

/* An object without a prototype, so that no variable's name clashes with an inherited property. */
static JSValue environment(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  JSValue table = JS_NewObjectProto(ctx, JS_NULL);
  for (char **entry = process_environment; *entry != NULL; entry++) {
    const char *equals = strchr(*entry, '=');
    if (equals == NULL) continue;
    JSAtom name = JS_NewAtomLen(ctx, *entry, (size_t)(equals - *entry));
    JS_DefinePropertyValue(ctx, table, name, JS_NewString(ctx, equals + 1), JS_PROP_C_W_E);
    JS_FreeAtom(ctx, name);
  }
  return table;
}

bool read_until(int fd, Buffer *buffer, size_t limit, double deadline) {
  for (;;) {
    double left = deadline - monotonic_ms();
    if (left <= 0) {
      errno = ETIMEDOUT;
      return false;
    }
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int ready = poll(&wanted, 1, poll_timeout(left));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    ssize_t count = read_some(fd, buffer, limit);
    if (count == 0) return true;
    if (count < 0) return false;
  }
}

/* `partial`: returns what has arrived by the deadline, and nothing if the stream was closed at start (EBADF). */
static JSValue read_standard_input(JSContext *ctx, JSValueConst *argv, bool partial) {
  size_t limit;
  double timeout_ms;
  if (!size_argument(ctx, argv[0], &limit) || !wait_argument(ctx, argv[1], &timeout_ms)) return JS_EXCEPTION;
  OWNED_BUFFER buffer = scratch_buffer();
  bool whole = read_until(STDIN_FILENO, &buffer, limit, monotonic_ms() + timeout_ms);
  if (!whole && !(partial && (errno == ETIMEDOUT || errno == EBADF))) return throw_errno(ctx, errno, "read", "standard input");
  return JS_NewStringLen(ctx, buffer.bytes, buffer.length);
}

static JSValue read_stdin(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  return read_standard_input(ctx, argv, false);
}

static JSValue read_stdin_for(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  return read_standard_input(ctx, argv, true);
}

/* readStdinPart(): one read(2), of 64 KiB at most; empty at the end. */
static JSValue read_stdin_part(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  OWNED_BUFFER buffer = scratch_buffer();
  if (read_some(STDIN_FILENO, &buffer, SIZE_MAX) < 0) return throw_errno(ctx, errno, "read", "standard input");
  return JS_NewStringLen(ctx, buffer.bytes, buffer.length);
}

static JSValue write_stream(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  if (!int_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  OWNED_TEXT text = text_argument(ctx, argv[1]);
  if (text.bytes == NULL) return JS_EXCEPTION;
  if (!write_all(fd, text.bytes, text.length)) {
    return throw_errno(ctx, errno, "write", fd == STDOUT_FILENO ? "standard output" : "standard error");
  }
  return JS_UNDEFINED;
}

static JSValue exit_process(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int status = 1;
  int_argument(ctx, argv[0], &status);
  image_check();
  _exit(status);
}

static JSValue hostname(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  struct utsname names;
  if (uname(&names) != 0) return throw_errno(ctx, errno, "uname", NULL);
  return JS_NewString(ctx, names.nodename);
}

static JSValue process_id(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return JS_NewInt32(ctx, getpid());
}

static JSValue wall_clock(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  JSValue result = JS_NewObject(ctx);
  set_number(ctx, result, "seconds", (double)now.tv_sec);
  set_number(ctx, result, "nanoseconds", (double)now.tv_nsec);
  return result;
}

static JSValue monotonic_clock(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return JS_NewFloat64(ctx, monotonic_ms());
}

static JSValue cpu_clock(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return JS_NewFloat64(ctx, (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6);
}

static JSValue sleep_ms(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  double milliseconds;
  if (!wait_argument(ctx, argv[0], &milliseconds)) return JS_EXCEPTION;
  double seconds = milliseconds / 1e3;
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
  return JS_UNDEFINED;
}

static JSValue random_bytes(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  char bytes[256]; /* getrandom(2) gives up to 256 bytes whole */
  int count;
  if (!int_argument(ctx, argv[0], &count)) return JS_EXCEPTION;
  if (count < 0 || (size_t)count > sizeof bytes) return throw_errno(ctx, EINVAL, "getrandom", NULL);
  while (getrandom(bytes, (size_t)count, 0) < 0) {
    if (errno != EINTR) return throw_errno(ctx, errno, "getrandom", NULL);
  }
  return new_bytes(ctx, bytes, (size_t)count);
}

const JSCFunctionListEntry process_functions[] = {
    JS_CFUNC_DEF("args", 0, args),
    JS_CFUNC_DEF("environment", 0, environment),
    JS_CFUNC_DEF("readStdin", 2, read_stdin),
    JS_CFUNC_DEF("readStdinFor", 2, read_stdin_for),
    JS_CFUNC_DEF("readStdinPart", 0, read_stdin_part),
    JS_CFUNC_DEF("write", 2, write_stream),
    JS_CFUNC_DEF("exit", 1, exit_process),
    JS_CFUNC_DEF("hostname", 0, hostname),
    JS_CFUNC_DEF("pid", 0, process_id),
    JS_CFUNC_DEF("wallClock", 0, wall_clock),
    JS_CFUNC_DEF("monotonicMs", 0, monotonic_clock),
    JS_CFUNC_DEF("cpuMs", 0, cpu_clock),
    JS_CFUNC_DEF("sleepMs", 1, sleep_ms),
    JS_CFUNC_DEF("randomBytes", 1, random_bytes),
};
DEFINE_LIST(process)
