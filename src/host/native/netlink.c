/* Netlink sockets: complete datagrams, only from the kernel, with a deadline; and waiting for one or for standard input. */
#include "host.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The attributes of one message hold at most 64 KiB each; the kernel builds dumps in 32 KiB. */
static char datagram[128 << 10];

static void set_option(int fd, int option) {
  int on = 1;
  /* Kernels before 4.3, 4.12 and 4.20 lack one or another; answers are then less precise, but not wrong. */
  setsockopt(fd, SOL_NETLINK, option, &on, sizeof on);
}

/* openNetlink(protocol, netnsFd | -1): the socket stays in the namespace in which it was created. */
static JSValue open_netlink(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int protocol, netns;
  if (!int_argument(ctx, argv[0], &protocol) || !int_argument(ctx, argv[1], &netns)) return JS_EXCEPTION;
  int number = netns < 0 ? 0 : enter_netns(netns);
  if (number != 0) return throw_errno(ctx, number, "setns", NULL);
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  number = errno;
  if (netns >= 0) leave_netns();
  if (fd < 0) return throw_errno(ctx, number, "socket", "netlink");
  int size = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  set_option(fd, NETLINK_CAP_ACK);
  set_option(fd, NETLINK_EXT_ACK);
  set_option(fd, NETLINK_GET_STRICT_CHK);
  return JS_NewInt32(ctx, fd);
}

/* netlinkSend(fd, datagram) */
static JSValue netlink_send(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  if (!int_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  size_t offset, length, element, whole;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, argv[1], &offset, &length, &element);
  if (JS_IsException(buffer)) return buffer;
  const uint8_t *bytes = JS_GetArrayBuffer(ctx, &whole, buffer);
  ssize_t count;
  while ((count = send(fd, bytes + offset, length, 0)) < 0 && errno == EINTR) continue;
  int number = errno;
  JS_FreeValue(ctx, buffer);
  return count < 0 ? throw_errno(ctx, number, "send", "netlink") : JS_UNDEFINED;
}

/* Returns the length of the kernel's next datagram, or -1 with errno: EAGAIN if there is none. */
static ssize_t receive_from_kernel(int fd) {
  for (;;) {
    struct sockaddr_nl sender = {0};
    socklen_t size = sizeof sender;
    ssize_t count = recvfrom(fd, datagram, sizeof datagram, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&sender, &size);
    if (count < 0 && errno == EINTR) continue;
    if (count >= 0 && sender.nl_pid != 0) continue;
    return count;
  }
}

/* netlinkReceive(fd, timeoutMs): reads first and waits only then, because most answers are available when send(2) returns. */
static JSValue netlink_receive(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  double timeout_ms, deadline = 0;
  if (!int_argument(ctx, argv[0], &fd) || !wait_argument(ctx, argv[1], &timeout_ms)) return JS_EXCEPTION;
  ssize_t count;
  while ((count = receive_from_kernel(fd)) < 0) {
    if (errno != EAGAIN) return throw_errno(ctx, errno, "recv", "netlink");
    double now = monotonic_ms();
    if (deadline == 0) deadline = now + timeout_ms;
    if (now >= deadline) return throw_errno(ctx, ETIMEDOUT, "recv", "netlink");
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    poll(&wanted, 1, poll_timeout(deadline - now));
  }
  if ((size_t)count > sizeof datagram) return throw_errno(ctx, EMSGSIZE, "recv", "netlink");
  return new_bytes(ctx, datagram, (size_t)count);
}

/* netlinkJoin(fd, group): the kernel then sends what happens in a multicast group. A burst of it needs more room than answers do. */
static JSValue netlink_join(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd, group, size = 8 << 20;
  if (!int_argument(ctx, argv[0], &fd) || !int_argument(ctx, argv[1], &group)) return JS_EXCEPTION;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  /* The kernel takes a socket without a port for the one whose request it tells of, and leaves it out. Fails if it has a port already. */
  struct sockaddr_nl any = {.nl_family = AF_NETLINK};
  bind(fd, (struct sockaddr *)&any, sizeof any);
  if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return throw_errno(ctx, errno, "setsockopt", "netlink");
  }
  return JS_UNDEFINED;
}

/* netlinkWait(fd, timeoutMs): which of standard input (1) and the socket (2) can be read, as a sum; 0 after the timeout. */
static JSValue netlink_wait(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  int fd;
  double timeout_ms;
  if (!int_argument(ctx, argv[0], &fd) || !wait_argument(ctx, argv[1], &timeout_ms)) return JS_EXCEPTION;
  double deadline = monotonic_ms() + timeout_ms;
  struct pollfd wanted[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  for (;;) {
    double left = deadline - monotonic_ms();
    int ready = poll(wanted, 2, poll_timeout(left > 0 ? left : 0));
    if (ready < 0 && errno != EINTR) return throw_errno(ctx, errno, "poll", NULL);
    /* An end and an error are read as well, and then reported. */
    if (ready > 0) return JS_NewInt32(ctx, (wanted[0].revents != 0) | (wanted[1].revents != 0) << 1);
    if (left <= 0) return JS_NewInt32(ctx, 0);
  }
}

const JSCFunctionListEntry netlink_functions[] = {
    JS_CFUNC_DEF("openNetlink", 2, open_netlink),
    JS_CFUNC_DEF("netlinkSend", 2, netlink_send),
    JS_CFUNC_DEF("netlinkReceive", 2, netlink_receive),
    JS_CFUNC_DEF("netlinkJoin", 2, netlink_join),
    JS_CFUNC_DEF("netlinkWait", 2, netlink_wait),
};
DEFINE_LIST(netlink)
