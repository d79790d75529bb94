/* Unix sockets: one request, one answer, with a deadline. */
#include "host.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* An agent's answer lists the addresses of one network of a node. */
#define MAX_ANSWER ((size_t)16 << 20)

/* Limits the waits of connect(2) and send(2), which then fail with EAGAIN. */
static bool bound_waits(int fd, double left) {
  if (left < 1) left = 1;
  struct timeval limit = {.tv_sec = (time_t)(left / 1e3)};
  limit.tv_usec = (suseconds_t)((left - (double)limit.tv_sec * 1e3) * 1e3);
  return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
}

static bool connect_to(int fd, Text path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(address.sun_path, path.bytes, path.length);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.length + 1);
  while (connect(fd, (struct sockaddr *)&address, size) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

static bool send_whole(int fd, Text text) {
  for (size_t sent = 0; sent < text.length;) {
    ssize_t count = send(fd, text.bytes + sent, text.length - sent, MSG_NOSIGNAL);
    /* A server that does not read the rest may still have answered. */
    if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) return true;
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) sent += (size_t)count;
  }
  return true;
}

static JSValue throw_failure(JSContext *ctx, const char *syscall, const char *path) {
  return throw_errno(ctx, errno == EAGAIN ? ETIMEDOUT : errno, syscall, path);
}

/* exchange(path, request, timeoutMs) */
static JSValue exchange(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  OWNED_TEXT path = path_argument(ctx, argv[0]);
  if (path.bytes == NULL) return JS_EXCEPTION;
  OWNED_TEXT request = text_argument(ctx, argv[1]);
  double timeout_ms;
  if (request.bytes == NULL || !wait_argument(ctx, argv[2], &timeout_ms)) return JS_EXCEPTION;
  double deadline = monotonic_ms() + timeout_ms;
  OWNED_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_failure(ctx, "socket", path.bytes);
  if (!bound_waits(fd, timeout_ms) || !connect_to(fd, path)) return throw_failure(ctx, "connect", path.bytes);
  if (!bound_waits(fd, deadline - monotonic_ms()) || !send_whole(fd, request)) return throw_failure(ctx, "send", path.bytes);
  shutdown(fd, SHUT_WR);
  OWNED_BUFFER answer = scratch_buffer();
  if (!read_until(fd, &answer, MAX_ANSWER, deadline)) return throw_failure(ctx, "recv", path.bytes);
  return JS_NewStringLen(ctx, answer.bytes, answer.length);
}

const JSCFunctionListEntry socket_functions[] = {
    JS_CFUNC_DEF("exchange", 3, exchange),
};
DEFINE_LIST(socket)
