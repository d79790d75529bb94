/* The last resort: answers the runtime when TypeScript cannot. */
#include "host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Appends `text` as the content of a JSON string, as far as it fits. */
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
