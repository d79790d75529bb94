/*
 * The prepared engine: runtime, context, the objects of the language, the native functions, and the programs with their modules evaluated.
 * What remains at start is the call of `main`.
 *
 * All of it depends on the executable alone, so the build prepares it once: **a module's top level must not ask the process or the machine for
 * anything**, because it would get the build's answers (the build runs twice, and fails if the two images differ). It links the executable,
 * runs it under the name `image` (first as a rehearsal, see image_heap.c), and links it again with the output of that run:
 *
 *   0x400000     code, constants, data, .bss     identical in both, byte for byte and at the same addresses
 *   0x40000000   .image                          first: empty space; then: Image and the heap, up to its last block
 *
 * This works because the executable is static and not relocatable, and because the engine keeps everything in its heap: pointers in the image
 * lead into the image or to code and constants. The process allocates in other memory (heap.c). The image's pages are private, so the kernel
 * copies a page that is written to. Objects in the image are frozen, so that few are (patches/frozen.patch).
 *
 * Without an image (cross builds, whose executables cannot run on the build machine) the engine is prepared at every start.
 */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool preparing;

/*
 * Replaces libc's function. The engine seeds its random numbers from it, which must not make builds differ, and Date reads it.
 */
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec time = {0};
  if (!preparing) clock_gettime(CLOCK_REALTIME, &time);
  now->tv_sec = time.tv_sec;
  now->tv_usec = (suseconds_t)(time.tv_nsec / 1000);
  return 0;
}

/* Math.random would return the same numbers in every process. */
static void remove_math_random(JSContext *ctx) {
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue math = JS_GetPropertyStr(ctx, global, "Math");
  JSAtom random = JS_NewAtom(ctx, "random");
  JS_DeleteProperty(ctx, math, random, 0);
  JS_FreeAtom(ctx, random);
  JS_FreeValue(ctx, math);
  JS_FreeValue(ctx, global);
}

static void add_intrinsics(JSContext *ctx) {
  JS_AddIntrinsicBaseObjects(ctx);
  JS_AddIntrinsicDate(ctx);
  JS_AddIntrinsicRegExp(ctx);
  JS_AddIntrinsicJSON(ctx);
  JS_AddIntrinsicMapSet(ctx);
  JS_AddIntrinsicTypedArrays(ctx);
  JS_AddIntrinsicPromise(ctx); /* what evaluating a module returns */
  remove_math_random(ctx);
}

/* The line table of the bundle (src/host/stack.ts). */
static JSValue line_table(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return JS_NewStringLen(ctx, lines, (size_t)(lines_end - lines));
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

/* Evaluates a module and returns its export `mains`. */
static JSValue load(JSContext *ctx, const uint8_t *code, const uint8_t *end) {
  JSValue program = JS_ReadObject(ctx, code, (size_t)(end - code), JS_READ_OBJ_BYTECODE);
  if (JS_IsException(program) || JS_ResolveModule(ctx, program) < 0) die_of_error(ctx, JS_GetException(ctx));
  JSModuleDef *module = JS_VALUE_GET_PTR(program);
  JSValue ended = JS_EvalFunction(ctx, program);
  if (JS_IsException(ended)) die_of_error(ctx, JS_GetException(ctx));
  if (JS_PromiseState(ctx, ended) == JS_PROMISE_REJECTED) die_of_error(ctx, JS_PromiseResult(ctx, ended));
  return JS_GetPropertyStr(ctx, JS_GetModuleNamespace(ctx, module), "mains");
}

char *image_first_block(void) { return (char *)(&image + 1); }

#if WATCHED
static uint64_t frozen_sum;

void image_check(void) {
  if (frozen_sum == 0 || JS_SumFrozen(image.runtime) == frozen_sum) return;
  dprintf(STDERR_FILENO, "what lies in the image was counted, though it is frozen\n");
  abort();
}
#else
void image_check(void) {}
#endif

/* Restores the image, and sets what belongs to this process. */
static void take(void) {
  JS_UpdateStackTop(image.runtime);
  JS_Freeze(image.runtime, &image, image_end);
#if WATCHED
  image_heap_watch(image_first_block(), image_end);
  frozen_sum = JS_SumFrozen(image.runtime);
#endif
}

void image_prepare(void) {
  if (image.taken) {
    take();
    return;
  }
  preparing = true;
  heap_start(image_first_block(), image_end);
  image.runtime = JS_NewRuntime2(&heap_functions, NULL);
  image.ctx = image.runtime == NULL ? NULL : JS_NewContextRaw(image.runtime);
  if (image.ctx == NULL) die("out of memory", "");
  JS_SetGCThreshold(image.runtime, (size_t)-1);
  add_intrinsics(image.ctx);
  add_native(image.ctx);
  image.mains = load(image.ctx, bytecode, bytecode_end);
  preparing = false;
}

JSValue image_program(const char *name) {
  JSValue program = JS_GetPropertyStr(image.ctx, image.mains, name);
  if (JS_IsFunction(image.ctx, program) || later_end - later == 0) return program;
  return JS_GetPropertyStr(image.ctx, load(image.ctx, later, later_end), name);
}
