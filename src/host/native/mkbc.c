/*
 * Compiles a JavaScript file to the bytecode of the engine, at build time: mkbc <script> <name in stacks> <output>.
 *
 * The script is compiled as a module, although it imports and exports nothing: functions access a module's variables by index. Variables of an
 * enclosing function would be searched for when a function is created, in time that grows with the square of the script's length.
 *
 * The output contains no source, but line and column numbers. The target's engine must have the same version and byte order.
 */
#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what) {
  fprintf(stderr, "mkbc: cannot %s\n", what);
  exit(1);
}

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail("open the script");
  fseek(file, 0, SEEK_END);
  *length = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(*length + 1);
  if (text == NULL || fread(text, 1, *length, file) != *length) fail("read the script");
  text[*length] = 0;
  fclose(file);
  return text;
}

static void fail_with_exception(JSContext *ctx) {
  JSValue error = JS_GetException(ctx);
  JSValue stack = JS_GetPropertyStr(ctx, error, "stack");
  fprintf(stderr, "mkbc: %s\n%s", JS_ToCString(ctx, error), JS_ToCString(ctx, stack));
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) fail("compile: usage: mkbc <script> <name in stacks> <output>");
  size_t length;
  const char *text = read_file(argv[1], &length);
  JSRuntime *runtime = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(runtime);
  JS_SetStripInfo(runtime, JS_STRIP_SOURCE);
  JSValue program = JS_Eval(ctx, text, length, argv[2], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(program)) fail_with_exception(ctx);
  size_t size;
  const uint8_t *bytecode = JS_WriteObject(ctx, &size, program, JS_WRITE_OBJ_BYTECODE);
  if (bytecode == NULL) fail_with_exception(ctx);
  FILE *file = fopen(argv[3], "wb");
  if (file == NULL || fwrite(bytecode, 1, size, file) != size || fclose(file) != 0) fail("write the bytecode");
  return 0;
}
