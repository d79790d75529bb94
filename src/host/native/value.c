/* Arguments and results of native functions, failures as exceptions, and memory and descriptors that a scope owns. */
#include "host.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void text_release(Text *text) {
  if (text->bytes != NULL) JS_FreeCString(text->ctx, text->bytes);
}

/* Most files are small: they need no allocation, which in musl would take four system calls. */
static char scratch[64 << 10];

Buffer scratch_buffer(void) { return (Buffer){.bytes = scratch, .capacity = sizeof scratch}; }

void buffer_release(Buffer *buffer) {
  if (buffer->bytes != scratch) free(buffer->bytes);
}

void fd_release(int *fd) {
  int number = errno;
  if (*fd >= 0) close(*fd);
  errno = number;
}

bool buffer_reserve(Buffer *buffer, size_t more) {
  size_t wanted = buffer->length + more;
  if (wanted <= buffer->capacity) return true;
  size_t capacity = buffer->capacity * 2 > wanted ? buffer->capacity * 2 : wanted;
  bool borrowed = buffer->bytes == scratch;
  char *bytes = borrowed ? malloc(capacity) : realloc(buffer->bytes, capacity);
  if (bytes == NULL) return false;
  if (borrowed) memcpy(bytes, scratch, buffer->length);
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}

JSValue throw_errno(JSContext *ctx, int number, const char *syscall, const char *object) {
  char unknown[16], message[4608];
  const char *space = object == NULL ? "" : " ";
  snprintf(message, sizeof message, "%s%s%.4200s: %s", syscall, space, object == NULL ? "" : object, strerror(number));
  JSValue error = JS_NewError(ctx);
  if (JS_IsException(error)) return error;
  const int flags = JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE;
  JS_DefinePropertyValueStr(ctx, error, "message", JS_NewString(ctx, message), flags);
  JS_DefinePropertyValueStr(ctx, error, "code", JS_NewString(ctx, errno_name(number, unknown)), flags);
  JS_DefinePropertyValueStr(ctx, error, "syscall", JS_NewString(ctx, syscall), flags);
  return JS_Throw(ctx, error);
}

Text text_argument(JSContext *ctx, JSValueConst value) {
  Text text = {ctx, NULL, 0};
  text.bytes = JS_ToCStringLen(ctx, &text.length, value);
  return text;
}

Text path_argument(JSContext *ctx, JSValueConst value) {
  Text text = text_argument(ctx, value);
  if (text.bytes != NULL && strlen(text.bytes) != text.length) {
    throw_errno(ctx, EINVAL, "path", text.bytes);
    text_release(&text);
    text.bytes = NULL;
  }
  return text;
}

bool int_argument(JSContext *ctx, JSValueConst value, int *number) { return JS_ToInt32(ctx, number, value) == 0; }

bool double_argument(JSContext *ctx, JSValueConst value, double *number) {
  return JS_ToFloat64(ctx, number, value) == 0;
}

static double within(double number, double most) {
  if (!(number > 0)) return 0;
  return number < most ? number : most;
}

bool wait_argument(JSContext *ctx, JSValueConst value, double *milliseconds) {
  if (!double_argument(ctx, value, milliseconds)) return false;
  *milliseconds = within(*milliseconds, 3e12);
  return true;
}

bool size_argument(JSContext *ctx, JSValueConst value, size_t *size) {
  double number;
  if (!double_argument(ctx, value, &number)) return false;
  *size = (size_t)within(number, 0x1p53);
  return true;
}

int poll_timeout(double milliseconds) { return (int)within(milliseconds, 1e9) + 1; }

JSValue new_bytes(JSContext *ctx, const void *bytes, size_t length) {
  JSValue buffer = JS_NewArrayBufferCopy(ctx, bytes, length);
  if (JS_IsException(buffer)) return buffer;
  /* The constructor reads all three arguments, even if argc is smaller. */
  JSValueConst arguments[3] = {buffer, JS_UNDEFINED, JS_UNDEFINED};
  JSValue view = JS_NewTypedArray(ctx, 3, arguments, JS_TYPED_ARRAY_UINT8);
  JS_FreeValue(ctx, buffer);
  return view;
}

void set_number(JSContext *ctx, JSValueConst object, const char *name, double number) {
  bool whole = fabs(number) < 0x1p53 && number == (double)(int64_t)number;
  JS_SetPropertyStr(ctx, object, name, whole ? JS_NewInt64(ctx, (int64_t)number) : JS_NewFloat64(ctx, number));
}
