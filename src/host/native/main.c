/* Start of every plugin: the bundle named as the executable is, in an engine with what the bundles use and no more. */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const Bundle *current;

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

static _Noreturn void die_of_error(JSContext *ctx, JSValue error) {
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

static const Bundle *find_bundle(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  for (int i = 0; i < bundle_count; i++) {
    if (strcmp(bundles[i].name, name) == 0) return &bundles[i];
  }
  die("no plugin has the name of this executable", name);
}

/* The line table of the bundle that runs (src/host/stack.ts). */
static JSValue line_table(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return JS_NewStringLen(ctx, current->lines, (size_t)(current->lines_end - current->lines));
}

static void add_intrinsics(JSContext *ctx) {
  JS_AddIntrinsicBaseObjects(ctx);
  JS_AddIntrinsicDate(ctx);
  JS_AddIntrinsicRegExp(ctx);
  JS_AddIntrinsicJSON(ctx);
  JS_AddIntrinsicMapSet(ctx);
  JS_AddIntrinsicTypedArrays(ctx);
  JS_AddIntrinsicPromise(ctx); /* what evaluating a module returns */
}

static void add_native(JSContext *ctx) {
  JSValue native = JS_NewObject(ctx);
#define ADD_LIST(area) JS_SetPropertyFunctionList(ctx, native, area##_functions, area##_function_count);
  FUNCTION_LISTS(ADD_LIST)
  JS_SetPropertyStr(ctx, native, "lineTable", JS_NewCFunction(ctx, line_table, "lineTable", 0));
  JSValue global = JS_GetGlobalObject(ctx);
  JS_SetPropertyStr(ctx, global, "native", native);
  JS_FreeValue(ctx, global);
}

int main(int argc, char **argv, char **env) {
  occupy_standard_streams();
  signal(SIGPIPE, SIG_IGN);
  process_argc = argc;
  process_argv = argv;
  process_environment = env;
  current = find_bundle(argc > 0 ? argv[0] : "");

  JSRuntime *runtime = JS_NewRuntime2(&heap_functions, NULL);
  JSContext *ctx = runtime == NULL ? NULL : JS_NewContextRaw(runtime);
  if (ctx == NULL) die("out of memory", "");
  JS_SetGCThreshold(runtime, (size_t)-1);
  /* Read before anything else has made a name: the names then get the numbers they have in the bytecode, which is used in place. */
  JSValue program = JS_ReadObject(ctx, current->bytecode, (size_t)(current->bytecode_end - current->bytecode),
                                  JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA);
  add_intrinsics(ctx);
  add_native(ctx);
  if (JS_IsException(program) || JS_ResolveModule(ctx, program) < 0) die_of_error(ctx, JS_GetException(ctx));
  JSValue ended = JS_EvalFunction(ctx, program);
  if (JS_IsException(ended)) die_of_error(ctx, JS_GetException(ctx));
  if (JS_PromiseState(ctx, ended) == JS_PROMISE_REJECTED) die_of_error(ctx, JS_PromiseResult(ctx, ended));
  _exit(0);
}
