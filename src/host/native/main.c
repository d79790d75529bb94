/* Start of every plugin: the program of the bundle that is named as the executable is. */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

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
  /* What they tell comes as errno too, and an answer can be given then. */
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
  JSValue program = JS_GetPropertyStr(ctx, image.mains, name);
  if (!JS_IsFunction(ctx, program)) die("no plugin has the name of this executable", name);
  JSValue ended = JS_Call(ctx, program, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(ended)) die_of_error(ctx, JS_GetException(ctx));
  if (JS_IsJobPending(image.runtime)) die("the program waits for a promise, which nothing here keeps", name);
  image_check();
  _exit(0);
}
