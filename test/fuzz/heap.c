/*
 * The engine's own heap (src/host/native/heap.c) against the contract of any heap: blocks are aligned, do not overlap, keep their content, also
 * when they are resized. Under the address sanitizer, unused memory is poisoned. Each pair of input bytes is a call; a map of live blocks is the
 * model.
 */
#include "../../src/host/native/heap.c"

#include <stdlib.h>

#define BLOCKS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

Image image;
char image_end[1];
/* No image is being written. */
bool image_heap_in_use;
void *image_heap_allocate(size_t size) { abort(); (void)size; }
size_t image_heap_size(const void *block) { abort(); (void)block; return 0; }
void image_heap_release(void *block) { abort(); (void)block; }
_Noreturn void die(const char *message, const char *details) { abort(); (void)message, (void)details; }
/* Nothing is frozen: all blocks belong to this process. */
uintptr_t js_frozen_start, js_frozen_size;

typedef struct Block {
  uint8_t *bytes;
  size_t size;
  uint8_t fill;
} Block;

static void require(bool holds) {
  if (!holds) abort();
}

/* Sizes of all classes: mostly small, at times a megabyte. */
static size_t size_of(uint8_t kind, uint8_t amount) {
  size_t shift = kind % 4 == 3 ? kind % 14 : kind % 6;
  return ((size_t)amount + 1) << shift;
}

static void look(const Block *block) {
  require(((uintptr_t)block->bytes & 7) == 0);
  require(heap_functions.js_malloc_usable_size(block->bytes) >= block->size);
  require(block->bytes[0] == block->fill && block->bytes[block->size - 1] == block->fill);
  require(block->bytes[block->size / 2] == block->fill);
#if WATCHED
  require(__asan_region_is_poisoned(block->bytes, block->size) == NULL);
  require(__asan_address_is_poisoned(block->bytes - 1) && __asan_address_is_poisoned(block->bytes + block->size));
#endif
}

static void fill(Block *block, size_t size, uint8_t value) {
  block->size = size;
  block->fill = value;
  memset(block->bytes, value, size);
}

static void no_overlap(const Block blocks[BLOCKS], const Block *one) {
  for (size_t i = 0; i < BLOCKS; i++) {
    const Block *other = &blocks[i];
    if (other == one || other->bytes == NULL) continue;
    require(one->bytes + one->size <= other->bytes || other->bytes + other->size <= one->bytes);
  }
}

/* The heap never returns memory, which is fine for a process of milliseconds, but not for a fuzzer that runs for an hour. */
static void begin_anew(void) {
  if (heap_chunks() < 64) return;
  heap_forget();
  memset(&image.heap, 0, sizeof image.heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Block blocks[BLOCKS] = {0};
  JSMallocState state = {0};
  for (size_t i = 0; i + 3 <= size && i < 3000; i += 3) {
    Block *block = &blocks[data[i] % BLOCKS];
    size_t wanted = size_of(data[i + 1], data[i + 2]);
    if (block->bytes == NULL) {
      block->bytes = heap_functions.js_malloc(&state, wanted);
      require(block->bytes != NULL);
      fill(block, wanted, (uint8_t)(i / 3));
    } else if (data[i] < 128) {
      look(block);
      uint8_t *moved = heap_functions.js_realloc(&state, block->bytes, wanted);
      require(moved != NULL);
      block->bytes = moved;
      require(moved[0] == block->fill && moved[(wanted < block->size ? wanted : block->size) - 1] == block->fill);
      fill(block, wanted, (uint8_t)(i / 3));
    } else {
      look(block);
      heap_functions.js_free(&state, block->bytes);
#if WATCHED
      require(__asan_address_is_poisoned(block->bytes) && __asan_address_is_poisoned(block->bytes + block->size - 1));
#endif
      block->bytes = NULL;
      continue;
    }
    no_overlap(blocks, block);
  }
  for (size_t i = 0; i < BLOCKS; i++) {
    if (blocks[i].bytes == NULL) continue;
    look(&blocks[i]);
    heap_functions.js_free(&state, blocks[i].bytes);
  }
  begin_anew();
  return 0;
}
