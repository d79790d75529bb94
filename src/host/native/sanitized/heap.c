/*
 * The memory of the engine under sanitizers, in place of ../heap.c: every block is malloc's own, so that a read behind its end and a use
 * after its release are seen. There is no image: the engine is made ready at each start.
 */
#include "../host.h"

#include <malloc.h>
#include <stdlib.h>

void heap_start(char *chunk, char *end) { (void)chunk, (void)end; }

char *heap_seal(void) { die("there is no image under sanitizers", ""); }

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
