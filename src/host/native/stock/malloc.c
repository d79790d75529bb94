/*
 * The unmodified engine's allocator, in place of ../heap.c and ../image_heap.c: malloc, and an engine that is prepared at each start. An error that a
 * test also finds here is not caused by our allocator or image.
 */
#include "../host.h"

#include <malloc.h>
#include <stdlib.h>

void heap_start(char *chunk, char *end) { (void)chunk, (void)end; }

_Noreturn void image_write(void) { die("there is no image of an engine that is as published", ""); }

static void *heap_malloc(JSMallocState *state, size_t size) {
  (void)state;
  return malloc(size);
}

static void heap_free(JSMallocState *state, void *block) {
  (void)state;
  free(block);
}

static void *heap_realloc(JSMallocState *state, void *block, size_t size) {
  (void)state;
  if (size != 0) return realloc(block, size);
  free(block);
  return NULL;
}

static size_t heap_usable_size(const void *block) { return malloc_usable_size((void *)block); }

const JSMallocFunctions heap_functions = {heap_malloc, heap_free, heap_realloc, heap_usable_size};
