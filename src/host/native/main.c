/* The start of every plugin: runs the program of the bundle that has the executable's name. */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/*
 * If a standard stream were closed, the next opened file, for instance a lock, would get its number, and the result would be written into
 * that file. O_PATH: the number is occupied, and reading or writing it fails with EBADF, as before.
 */
static void occupy_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_CLOEXEC) != fd) die("cannot occupy a closed standard stream", "");
  }
}

int main(int argc, char **argv, char **env) {
  occupy_standard_streams();
  /* Both conditions are also reported as errno, and then an answer is still possible. */
  signal(SIGPIPE, SIG_IGN), signal(SIGXFSZ, SIG_IGN);
  process_argc = argc;
  process_argv = argv;
  process_environment = env;

  const char *path = argc > 0 ? argv[0] : "";
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (!image.taken && strcmp(name, "image") == 0) image_write();
  image_prepare();
  JSContext *ctx = image.ctx;
  JSValue program = image_program(name);
  if (!JS_IsFunction(ctx, program)) die("no plugin has the name of this executable", name);
  JSValue ended = JS_Call(ctx, program, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(ended)) die_of_error(ctx, JS_GetException(ctx));
  if (JS_IsJobPending(image.runtime)) die("the program waits for a promise, which nothing here keeps", name);
  image_check();
  _exit(0);
}
