/*
 * Runs a program: its streams are pipes, its environment comes from the caller, it inherits nothing else, and it dies with us. It uses vfork(2),
 * so the child shares our memory until execve(2), and reports through it which call failed.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_LIMIT ((size_t)64 << 20)

/* A running program: our ends of its pipes, and the transferred data. */
typedef struct Child {
  pid_t pid;
  int exit_fd; /* pidfd: readable when the program has ended; -1 on kernels before 5.3 */
  int in, out, err;
  const char *input;
  size_t input_left;
  Buffer output, errors;
} Child;

typedef struct StringList {
  char **items;
  uint32_t count;
} StringList;

static void close_from_3(void) {
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
  struct rlimit limit;
  int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1u << 20 ? (int)limit.rlim_cur : 1 << 20;
  for (int fd = 3; fd < last; fd++) close(fd);
}

/* A separate function: the child must not return from it, and the parent must find its variables unchanged. */
__attribute__((noinline)) static pid_t spawn(char **argv, char **env, const int ends[3], volatile int *failure) {
  pid_t parent = getpid();
  pid_t pid = vfork();
  if (pid != 0) return pid;
  signal(SIGPIPE, SIG_DFL), signal(SIGXFSZ, SIG_DFL);
  if (dup2(ends[0], 0) == 0 && dup2(ends[1], 1) == 1 && dup2(ends[2], 2) == 2) {
    close_from_3();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    execve(argv[0], argv, env);
  }
  *failure = errno;
  _exit(127);
}

static void close_pair(int pair[2]) {
  for (int i = 0; i < 2; i++) {
    if (pair[i] >= 0) close(pair[i]);
  }
}

/* Starts the program. Returns 0 or an errno number, with the failed call in `*syscall`. */
static int start(Child *child, char **argv, char **env, const char **syscall_name) {
  int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
  volatile int failure = 0;
  *syscall_name = "pipe2";
  for (int i = 0; i < 3 && failure == 0; i++) {
    if (pipe2(pipes[i], O_CLOEXEC) != 0) failure = errno;
  }
  if (failure == 0) {
    const int ends[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    *syscall_name = "execve";
    child->pid = spawn(argv, env, ends, &failure);
    if (child->pid < 0) failure = errno;
    if (child->pid > 0 && failure != 0) waitpid(child->pid, NULL, 0);
  }
  if (failure != 0) {
    for (int i = 0; i < 3; i++) close_pair(pipes[i]);
    return failure;
  }
  close(pipes[0][0]), close(pipes[1][1]), close(pipes[2][1]);
  child->in = pipes[0][1], child->out = pipes[1][0], child->err = pipes[2][0];
  fcntl(child->in, F_SETFL, O_NONBLOCK), fcntl(child->out, F_SETFL, O_NONBLOCK), fcntl(child->err, F_SETFL, O_NONBLOCK);
  child->exit_fd = (int)syscall(SYS_pidfd_open, child->pid, 0u);
  return 0;
}

static void close_end(int *fd) {
  close(*fd);
  *fd = -1;
}

/* A program need not read all of its input. */
static void feed(Child *child) {
  while (child->input_left > 0) {
    ssize_t count = write(child->in, child->input, child->input_left);
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    child->input += count;
    child->input_left -= (size_t)count;
  }
  close_end(&child->in);
}

/* Reads what is available. Returns 0 or an errno number. */
static int drain(int *fd, Buffer *buffer) {
  while (*fd >= 0) {
    if (!buffer_reserve(buffer, 4096)) return ENOMEM;
    ssize_t count = read(*fd, buffer->bytes + buffer->length, buffer->capacity - buffer->length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) close_end(fd);
    if (count > 0) buffer->length += (size_t)count;
    if (buffer->length > OUTPUT_LIMIT) return EFBIG;
  }
  return 0;
}

/*
 * Feeds and drains until the program has ended, or, without pidfd, until its streams have. Does not wait for output of processes that it left
 * behind.
 */
static int talk(Child *child, double deadline) {
  bool ended = false;
  while (!ended && (child->exit_fd >= 0 || child->out >= 0 || child->err >= 0)) {
    double left = deadline - monotonic_ms();
    if (left <= 0) return ETIMEDOUT;
    struct pollfd wanted[4] = {
        {.fd = child->in, .events = POLLOUT}, {.fd = child->out, .events = POLLIN},
        {.fd = child->err, .events = POLLIN}, {.fd = child->exit_fd, .events = POLLIN},
    };
    int count = poll(wanted, 4, poll_timeout(left));
    if (count < 0 && errno != EINTR) return errno;
    if (count <= 0) continue;
    if (wanted[0].revents != 0) feed(child);
    ended = wanted[3].revents != 0;
    int failure = drain(&child->out, &child->output);
    if (failure == 0) failure = drain(&child->err, &child->errors);
    if (failure != 0) return failure;
  }
  return 0;
}

/* Kills the program if it still runs, and reaps it. */
static int finish(Child *child, int failure) {
  int status = 0;
  if (failure != 0) kill(child->pid, SIGKILL);
  while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) continue;
  int *ends[] = {&child->in, &child->out, &child->err, &child->exit_fd};
  for (size_t i = 0; i < 4; i++) {
    if (*ends[i] >= 0) close_end(ends[i]);
  }
  return status;
}

static JSValue result_of(JSContext *ctx, const Child *child, int status) {
  JSValue result = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, result, "status", WIFEXITED(status) ? JS_NewInt32(ctx, WEXITSTATUS(status)) : JS_UNDEFINED);
  JS_SetPropertyStr(ctx, result, "signal", WIFSIGNALED(status) ? JS_NewInt32(ctx, WTERMSIG(status)) : JS_UNDEFINED);
  JS_SetPropertyStr(ctx, result, "stdout", JS_NewStringLen(ctx, child->output.bytes, child->output.length));
  JS_SetPropertyStr(ctx, result, "stderr", JS_NewStringLen(ctx, child->errors.bytes, child->errors.length));
  return result;
}

/* Converts a JavaScript array of strings to the kernel's form; false if an exception is pending. */
static bool string_list(JSContext *ctx, JSValueConst array, StringList *list) {
  JSValue length = JS_GetPropertyStr(ctx, array, "length");
  int failed = JS_ToUint32(ctx, &list->count, length);
  list->items = failed ? NULL : calloc((size_t)list->count + 1, sizeof *list->items);
  if (list->items == NULL) return false;
  for (uint32_t i = 0; i < list->count; i++) {
    JSValue item = JS_GetPropertyUint32(ctx, array, i);
    OWNED_TEXT text = path_argument(ctx, item);
    JS_FreeValue(ctx, item);
    if (text.bytes == NULL) return false;
    list->items[i] = strdup(text.bytes);
  }
  return true;
}

static void string_list_release(StringList *list) {
  for (uint32_t i = 0; list->items != NULL && i < list->count; i++) free(list->items[i]);
  free(list->items);
}

/* run(argv, environment as NAME=value, stdin, timeoutMs) */
static JSValue run(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  __attribute__((cleanup(string_list_release))) StringList arguments = {0}, env = {0};
  OWNED_TEXT input = text_argument(ctx, argv[2]);
  double timeout_ms;
  if (!string_list(ctx, argv[0], &arguments) || !string_list(ctx, argv[1], &env)) return JS_EXCEPTION;
  if (input.bytes == NULL || !wait_argument(ctx, argv[3], &timeout_ms)) return JS_EXCEPTION;
  if (arguments.count == 0) return throw_errno(ctx, EINVAL, "execve", NULL);

  /* We may have inherited SIG_IGN from a caller, which would hide the exit status of children. */
  signal(SIGCHLD, SIG_DFL);
  double deadline = monotonic_ms() + timeout_ms;
  Child child = {.input = input.bytes, .input_left = input.length};
  const char *syscall_name;
  int failure = start(&child, arguments.items, env.items, &syscall_name);
  if (failure != 0) return throw_errno(ctx, failure, syscall_name, arguments.items[0]);
  failure = talk(&child, deadline);
  int status = finish(&child, failure);
  JSValue result = failure == 0 ? result_of(ctx, &child, status) : throw_errno(ctx, failure, "run", arguments.items[0]);
  buffer_release(&child.output);
  buffer_release(&child.errors);
  return result;
}

const JSCFunctionListEntry run_functions[] = {JS_CFUNC_DEF("run", 4, run)};
DEFINE_LIST(run)
