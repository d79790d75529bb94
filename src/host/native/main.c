/* Start of every plugin: the program of the bundle that is named as the executable is. */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Appends `text` as the inside of a JSON string, as far as it fits. */
static size_t append_json(char *out, size_t length, size_t capacity, const char *text) {
  for (; *text != 0 && length + 7 < capacity; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte == '"' || byte == '\\') out[length++] = '\\';
    if (byte < 0x20) {
      length += (size_t)snprintf(out + length, 7, "\\u%04x", byte);
    } else {
      out[length++] = (char)byte;
    }
  }
  return length;
}

_Noreturn void die(const char *message, const char *details) {
  char out[8192] = "{\"cniVersion\":\"1.0.0\",\"code\":999,\"msg\":\"";
  size_t length = append_json(out, strlen(out), 4096, message);
  length += (size_t)snprintf(out + length, 16, "\",\"details\":\"");
  length = append_json(out, length, sizeof out - 8, details);
  out[length++] = '"', out[length++] = '}', out[length++] = '\n';
  write_all(STDOUT_FILENO, out, length);
  _exit(1);
}

_Noreturn void die_of_error(JSContext *ctx, JSValue error) {
  JSValue stack = JS_GetPropertyStr(ctx, error, "stack");
  const char *message = JS_ToCString(ctx, error);
  const char *details = JS_IsString(stack) ? JS_ToCString(ctx, stack) : "";
  die(message == NULL ? "out of memory" : message, details == NULL ? "" : details);
}

/*
 * A standard stream that was closed would be the number of the next file that is opened, a lock for instance, and the result
 * would be written into it. O_PATH: the number is taken, and reading or writing it fails with EBADF, as before.
 */
static void occupy_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_CLOEXEC) != fd) die("cannot occupy a closed standard stream", "");
  }
}

int main(int argc, char **argv, char **env) {
  occupy_standard_streams();
  signal(SIGPIPE, SIG_IGN);
  process_argc = argc;
  process_argv = argv;
  process_environment = env;

  const char *path = argc > 0 ? argv[0] : "";
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (!image.taken && strcmp(name, "image") == 0) image_write();
  image_prepare();
  JSContext *ctx = image.ctx;
  JSValue program = JS_GetPropertyStr(ctx, image.mains, name);
  if (!JS_IsFunction(ctx, program)) die("no plugin has the name of this executable", name);
  JSValue ended = JS_Call(ctx, program, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(ended)) die_of_error(ctx, JS_GetException(ctx));
  _exit(0);
}
