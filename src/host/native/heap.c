/*
 * The memory of the engine: a bump allocator with a free list per size class, which never gives memory back to the kernel.
 * The process lives milliseconds; malloc of musl costs a fifth of the whole start-up.
 *
 *   block   | 8 bytes: size of the payload | payload, aligned to 16 ... |
 *
 * Sizes are 16n + 8, so that header and payload together keep the alignment. Up to 1 KiB each size is its own class; above,
 * sizes are rounded up to a quarter of a power of two, so a freed block serves any later request of its class.
 */
#include "host.h"

#include <string.h>
#include <sys/mman.h>

#define HEADER 8
#define SMALL 1024
#define SMALL_CLASSES (SMALL / 16 + 1)
#define CLASSES (SMALL_CLASSES + 4 * 54)

/* In .bss: pages that are not touched cost nothing. */
static _Alignas(16) char first_chunk[1 << 20];
static char *next = first_chunk + HEADER, *end = first_chunk + sizeof first_chunk;
static void *free_blocks[CLASSES];

static size_t *header(const void *block) { return (size_t *)((char *)block - HEADER); }

/* Rounds a request up to the size of its class and says which class that is. */
static size_t classify(size_t *size) {
  size_t rounded = *size <= HEADER ? HEADER : ((*size - HEADER + 15) & ~(size_t)15) + HEADER;
  if (rounded <= SMALL) {
    *size = rounded;
    return rounded / 16;
  }
  size_t whole = rounded + HEADER;
  int power = 63 - __builtin_clzl(whole - 1);
  size_t quarter = (size_t)1 << (power - 2);
  size_t steps = (whole - ((size_t)1 << power) + quarter - 1) / quarter;
  *size = ((size_t)1 << power) + steps * quarter - HEADER;
  return SMALL_CLASSES + (size_t)(power - 10) * 4 + steps - 1;
}

static bool add_chunk(size_t size) {
  size_t length = size + HEADER + 8 > (4u << 20) ? size + HEADER + 8 : (4u << 20);
  char *chunk = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) return false;
  next = chunk + HEADER;
  end = chunk + length;
  return true;
}

static void *allocate(size_t size) {
  if (size > ((size_t)1 << 47)) return NULL;
  size_t class = classify(&size);
  void *block = free_blocks[class];
  if (block != NULL) {
    memcpy(&free_blocks[class], block, sizeof(void *));
    return block;
  }
  if ((size_t)(end - next) < HEADER + size && !add_chunk(size)) return NULL;
  block = next + HEADER;
  next += HEADER + size;
  *header(block) = size;
  return block;
}

static void release(void *block) {
  size_t size = *header(block);
  if ((char *)block + size == next) {
    next = (char *)block - HEADER;
    return;
  }
  size_t class = classify(&size);
  memcpy(block, &free_blocks[class], sizeof(void *));
  free_blocks[class] = block;
}

static void *reallocate(void *block, size_t size) {
  size_t old = *header(block);
  if (size <= old) return block;
  char *tail = (char *)block + old;
  size_t wanted = size;
  classify(&wanted);
  if (tail == next && (size_t)(end - tail) >= wanted - old) {
    next += wanted - old;
    *header(block) = wanted;
    return block;
  }
  void *moved = allocate(size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, old);
  release(block);
  return moved;
}

static void *heap_malloc(JSMallocState *state, size_t size) {
  (void)state;
  return allocate(size);
}

static void heap_free(JSMallocState *state, void *block) {
  (void)state;
  if (block != NULL) release(block);
}

static void *heap_realloc(JSMallocState *state, void *block, size_t size) {
  (void)state;
  if (block == NULL) return size == 0 ? NULL : allocate(size);
  if (size == 0) {
    release(block);
    return NULL;
  }
  return reallocate(block, size);
}

static size_t heap_usable_size(const void *block) { return block == NULL ? 0 : *header(block); }

const JSMallocFunctions heap_functions = {heap_malloc, heap_free, heap_realloc, heap_usable_size};
