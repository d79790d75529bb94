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
_Static_assert(SMALL_CLASSES + 4 * 54 == HEAP_CLASSES, "classes up to the largest size");

/* In .bss: pages that are not touched cost nothing. */
static _Alignas(16) char spare_chunk[1 << 20];
static bool spare_taken;

void heap_start(char *chunk, char *end) {
  image.heap.next = chunk + HEADER;
  image.heap.end = end;
}

char *heap_seal(void) {
  memset(image.heap.free_blocks, 0, sizeof image.heap.free_blocks);
  image.heap.end = image.heap.next;
  return image.heap.next;
}

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
  if (!spare_taken && size + HEADER + 8 <= sizeof spare_chunk) {
    spare_taken = true;
    heap_start(spare_chunk, spare_chunk + sizeof spare_chunk);
    return true;
  }
  size_t length = size + HEADER + 8 > (4u << 20) ? size + HEADER + 8 : (4u << 20);
  char *chunk = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) return false;
  heap_start(chunk, chunk + length);
  return true;
}

/*
 * While the image is made: a table that grows leaves blocks behind that no other table has a use for. Small blocks are cut from the
 * largest of them, which would be dead weight in the image. (A process that lives wants its large blocks whole again.)
 */
static void *cut_from_hole(Heap *heap, size_t size) {
  if (size > SMALL || (size_t)(heap->hole_end - heap->hole) < HEADER + size) return NULL;
  char *block = heap->hole + HEADER;
  heap->hole += HEADER + size;
  *header(block) = size;
  return block;
}

static bool becomes_hole(Heap *heap, char *block, size_t size) {
  if (!heap->frugal || size <= SMALL || size <= (size_t)(heap->hole_end - heap->hole)) return false;
  heap->hole = block - HEADER;
  heap->hole_end = block + size;
  return true;
}

static void *allocate(size_t size) {
  if (size > ((size_t)1 << 47)) return NULL;
  Heap *heap = &image.heap;
  size_t class = classify(&size);
  void *block = heap->free_blocks[class];
  if (block != NULL) {
    memcpy(&heap->free_blocks[class], block, sizeof(void *));
    return block;
  }
  block = cut_from_hole(heap, size);
  if (block != NULL) return block;
  if ((size_t)(heap->end - heap->next) < HEADER + size && !add_chunk(size)) return NULL;
  block = heap->next + HEADER;
  heap->next += HEADER + size;
  *header(block) = size;
  return block;
}

static void release(void *block) {
  if (js_is_frozen(block)) return;
  size_t size = *header(block);
  if ((char *)block + size == image.heap.next) {
    image.heap.next = (char *)block - HEADER;
    return;
  }
  if (becomes_hole(&image.heap, block, size)) return;
  size_t class = classify(&size);
  memcpy(block, &image.heap.free_blocks[class], sizeof(void *));
  image.heap.free_blocks[class] = block;
}

static void *reallocate(void *block, size_t size) {
  size_t old = *header(block);
  if (size <= old) return block;
  char *tail = (char *)block + old;
  size_t wanted = size;
  size_t class = classify(&wanted);
  /* Where one is free of that size, it is taken: else a loop that makes a block, lets it grow and frees it would leave one behind each time. */
  bool is_last = tail == image.heap.next && image.heap.free_blocks[class] == NULL;
  if (is_last && (size_t)(image.heap.end - tail) >= wanted - old) {
    image.heap.next += wanted - old;
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
