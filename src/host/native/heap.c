/*
 * The engine's allocator: a bump allocator with a free list per size class, which never returns memory to the kernel. The process
 * lives for milliseconds; musl's malloc takes a fifth of the whole start-up.
 *
 *   block   | 8 bytes: size of the payload | payload, aligned to 8 ... |
 *
 * Sizes are multiples of 8. Up to 1 KiB each size is its own class; above that, sizes are rounded up to a quarter of a power of two, so a
 * freed block serves any later request of its class. Blocks in the image are never freed: they have exactly the requested size, and no header
 * (image_heap.c).
 *
 * Under the address sanitizer, everything outside of live blocks is poisoned: headers, padding, and freed blocks, which are not reused until many
 * others have been freed.
 */
#include "host.h"

#include <string.h>
#include <sys/mman.h>

#define HEADER 8
#define SMALL 1024
#define SMALL_CLASSES (SMALL / 8 + 1)
_Static_assert(SMALL_CLASSES + 4 * 54 == HEAP_CLASSES, "classes up to the largest size");

/* In .bss: untouched pages cost nothing. */
static _Alignas(16) char spare_chunk[1 << 20];
static bool spare_taken;

#if WATCHED
typedef struct Chunk {
  char *start;
  size_t length;
} Chunk;

/* Recorded so that a fuzz target can release all of them between runs. */
static Chunk chunks[1 << 10];
static size_t chunk_count;
#endif

void heap_start(char *chunk, char *end) {
  image.heap.next = chunk;
  image.heap.end = end;
  heap_poison(chunk, (size_t)(end - chunk));
}

UNWATCHED size_t *heap_header(const void *block) { return (size_t *)((char *)block - HEADER); }
UNWATCHED static size_t block_size(const void *block) { return *heap_header(block); }
UNWATCHED static void set_size(void *block, size_t size) { *heap_header(block) = size; }
/* A free block's first word points to the next one of its class. */
UNWATCHED static void *follow(void *block) { return *(void **)block; }
UNWATCHED static void lead(void *block, void *next) { *(void **)block = next; }

/* Rounds a request up to the size of its class and returns the class. */
static size_t classify(size_t *size) {
  size_t rounded = heap_rounded(*size);
  if (rounded <= SMALL) {
    *size = rounded;
    return rounded / 8;
  }
  size_t whole = rounded + HEADER;
  int power = 63 - __builtin_clzl(whole - 1);
  size_t quarter = (size_t)1 << (power - 2);
  size_t steps = (whole - ((size_t)1 << power) + quarter - 1) / quarter;
  *size = ((size_t)1 << power) + steps * quarter - HEADER;
  return SMALL_CLASSES + (size_t)(power - 10) * 4 + steps - 1;
}

static void add_chunk(size_t size) {
  if (!spare_taken && size + HEADER <= sizeof spare_chunk) {
    spare_taken = true;
    heap_start(spare_chunk, spare_chunk + sizeof spare_chunk);
    return;
  }
  size_t length = size + HEADER > (4u << 20) ? size + HEADER : (4u << 20);
  char *chunk = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) die("out of memory", "");
#if WATCHED
  if (chunk_count < sizeof chunks / sizeof chunks[0]) chunks[chunk_count++] = (Chunk){chunk, length};
#endif
  heap_start(chunk, chunk + length);
}

/*
 * Rejects absurd sizes. If the machine is out of memory, the process ends with an answer: the engine's paths for that case are untested, and a
 * roll-back would need memory too. DEL removes what is left.
 */
static void *allocate(size_t size) {
  if (size > ((size_t)1 << 47)) return NULL;
  if (image_heap_in_use) return image_heap_allocate(size);
  Heap *heap = &image.heap;
  size_t asked = size, class = classify(&size);
  char *block = heap->free_blocks[class];
  if (block != NULL) {
    heap->free_blocks[class] = follow(block);
  } else {
    if ((size_t)(heap->end - heap->next) < HEADER + size) add_chunk(size);
    block = heap->next + HEADER;
    heap->next += HEADER + size;
  }
  set_size(block, WATCHED ? asked : size);
  heap_unpoison(block, asked);
  return block;
}

static void reuse(char *block) {
  size_t size = block_size(block), class = classify(&size);
  if (!WATCHED && block + size == image.heap.next) {
    image.heap.next = block - HEADER;
    return;
  }
  lead(block, image.heap.free_blocks[class]);
  image.heap.free_blocks[class] = block;
}

#if WATCHED
static void *waiting[1 << 12];
static size_t turn;

/* Returns the block that was freed first, or NULL. */
static char *wait_in_turn(char *block) {
  char *longest = waiting[turn];
  waiting[turn] = block;
  turn = (turn + 1) % (sizeof waiting / sizeof waiting[0]);
  return longest;
}

void heap_forget(void) {
  memset(waiting, 0, sizeof waiting);
  for (; chunk_count > 0; chunk_count--) munmap(chunks[chunk_count - 1].start, chunks[chunk_count - 1].length);
  spare_taken = false;
}

size_t heap_chunks(void) { return chunk_count; }
#endif

static void release(char *block) {
  if (js_is_frozen(block)) return;
  if (image_heap_in_use) {
    image_heap_release(block);
    return;
  }
  size_t size = block_size(block);
  classify(&size);
  heap_poison(block, size);
#if WATCHED
  block = wait_in_turn(block);
  if (block == NULL) return;
#endif
  reuse(block);
}

/* Grows the last block of the chunk in place. */
static bool grow(char *block, size_t old, size_t size) {
  if (WATCHED || image_heap_in_use || block + old != image.heap.next) return false;
  size_t class = classify(&size);
  /* Prefers a free block of that size: otherwise a loop that allocates, grows and frees a block would leave one behind each time. */
  if (image.heap.free_blocks[class] != NULL || (size_t)(image.heap.end - image.heap.next) < size - old) return false;
  image.heap.next += size - old;
  set_size(block, size);
  return true;
}

static bool keeps_size(const void *block) { return WATCHED || !js_is_frozen(block); }

static void *reallocate(void *block, size_t size) {
  /* Of a block that does not keep its size, whatever follows is copied with it. */
  size_t old = !keeps_size(block) ? (size_t)(image_end - (char *)block) : image_heap_in_use ? image_heap_size(block) : block_size(block);
  if (keeps_size(block) && ((!WATCHED && size <= old) || grow(block, old, size))) return block;
  void *moved = allocate(size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, size < old ? size : old);
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

/* 0 if unknown. */
static size_t heap_usable_size(const void *block) {
  if (block == NULL || !keeps_size(block)) return 0;
  return image_heap_in_use ? image_heap_size(block) : block_size(block);
}

const JSMallocFunctions heap_functions = {heap_malloc, heap_free, heap_realloc, heap_usable_size};
