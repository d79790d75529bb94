/*
 * A fuzz target: passes libFuzzer's bytes to a TypeScript function that runs on the engine, both with sanitizers.
 *
 *   libFuzzer --bytes--> LLVMFuzzerTestOneInput --Uint8Array--> main(bytes) of test/fuzz/targets/<name of the executable>.ts
 *
 * An exception of the target is a finding. Coverage is that of the C code and of the bytecode (steps.patch). The object `harness` gives a
 * target what the machine cannot: bytes on standard input and in a socket.
 */
#include "../../src/host/native/host.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Cycles are never collected (docs/engine.md). After this many chunks of memory, the engine is reset to its state in the image. */
#define MOST_CHUNKS 16
/* Inputs between two checks of the frozen objects. */
#define INPUTS_BETWEEN 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static JSValue target;
static const char *target_name;
static char *pristine;

static const uint8_t *bytes_argument(JSContext *ctx, JSValueConst value, size_t *length) {
  size_t offset, element, whole;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, length, &element);
  const uint8_t *bytes = JS_GetArrayBuffer(ctx, &whole, buffer);
  JS_FreeValue(ctx, buffer);
  return bytes + offset;
}

/* setStdin(bytes) */
static JSValue set_stdin(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const uint8_t *bytes = bytes_argument(ctx, argv[0], &length);
  OWNED_FD fd = memfd_create("stdin", 0);
  if (fd < 0 || !write_all(fd, (const char *)bytes, length) || lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, 0) != 0) abort();
  return JS_UNDEFINED;
}

/* datagram(bytes): a descriptor from which one datagram can be received. */
static JSValue datagram(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const uint8_t *bytes = bytes_argument(ctx, argv[0], &length);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
  if (send(ends[0], bytes, length, MSG_DONTWAIT) < 0) JS_ThrowInternalError(ctx, "send");
  close(ends[0]);
  return JS_NewInt32(ctx, ends[1]);
}

static void add_harness(JSContext *ctx) {
  JSValue harness = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, harness, "setStdin", JS_NewCFunction(ctx, set_stdin, "setStdin", 1));
  JS_SetPropertyStr(ctx, harness, "datagram", JS_NewCFunction(ctx, datagram, "datagram", 1));
  JSValue global = JS_GetGlobalObject(ctx);
  JS_SetPropertyStr(ctx, global, "harness", harness);
  JS_FreeValue(ctx, global);
}

static size_t image_size(void) { return (size_t)(image_end - (char *)&image); }

/* Starts with the engine in its state in the image. */
static void begin(void) {
  image_prepare();
  add_harness(image.ctx);
  target = JS_GetPropertyStr(image.ctx, image.mains, target_name);
}

static void begin_anew(void) {
  heap_forget();
  heap_unpoison((char *)&image, image_size());
  memcpy((char *)&image, pristine, image_size());
  begin();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  signal(SIGPIPE, SIG_IGN); /* as in main.c */
  process_argc = *argc;
  process_argv = *argv;
  process_environment = (char *[]){NULL};
  const char *slash = strrchr((*argv)[0], '/');
  target_name = slash == NULL ? (*argv)[0] : slash + 1;
  if (!image.taken && strcmp(target_name, "image") == 0) image_write();
  pristine = malloc(image_size());
  if (!image.taken || pristine == NULL) abort();
  memcpy(pristine, (char *)&image, image_size());
  begin();
  if (JS_IsFunction(image.ctx, target)) return 0;
  fprintf(stderr, "no fuzz target is called %s\n", target_name);
  exit(2);
}

static void report(JSContext *ctx) {
  JSValue error = JS_GetException(ctx);
  JSValue stack = JS_GetPropertyStr(ctx, error, "stack");
  fprintf(stderr, "FINDING: %s\n%s\n", JS_ToCString(ctx, error), JS_ToCString(ctx, stack));
  abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static size_t inputs;
  if (heap_chunks() > MOST_CHUNKS) begin_anew();
  JSContext *ctx = image.ctx;
  JS_UpdateStackTop(image.runtime);
  JSValue bytes = new_bytes(ctx, data, size);
  JSValue ended = JS_Call(ctx, target, JS_UNDEFINED, 1, &bytes);
  if (JS_IsException(ended)) report(ctx);
  JS_FreeValue(ctx, ended);
  JS_FreeValue(ctx, bytes);
  if (inputs++ % INPUTS_BETWEEN == 0) image_check();
  return 0;
}
