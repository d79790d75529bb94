/*
 * The engine's allocator while the build prepares the engine: only blocks that survive go into the image, without gaps.
 *
 * An allocation does not show whether the block will survive. But the engine makes the same allocations each time, so the build runs the
 * preparation twice: a rehearsal records which blocks were freed (one byte for each, in the order of allocation), and the second run places
 * those blocks in memory outside of the image. This saves a third of the image: tables that grew, temporary objects, and the bundle's top
 * level itself, which runs once.
 *
 * A block's record, outside of the image, holds its size, and in the lowest bit whether it was freed. No block is reused. In the image, only a
 * watched build has headers.
 */
#include "host.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ASIDE ((size_t)64 << 20)
/*
 * Fixed, because the engine hashes shapes by the address of their prototype: at a random address, a prototype in this memory would get another
 * bucket in one run of 256, and a shape in the image another neighbour. Far above 4 GiB, so that no number in the image looks like an address
 * in it (forget_addresses).
 */
#define ASIDE_ADDRESS ((void *)0x3b9d50000000)
#define RELEASED ((size_t)1)
#define HEADER (WATCHED ? sizeof(size_t) : 0)

enum { SURVIVES, FREED };

bool image_heap_in_use;
static Buffer lifetimes;
static size_t allocations;
static bool rehearsing;
static char *aside, *aside_next;
/* As large as the memory whose blocks they are about: a block is at least as large as its record. */
static size_t *records, *aside_records;

static void *reserve(void *address, size_t size) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (address == NULL ? 0 : MAP_FIXED_NOREPLACE);
  void *memory = mmap(address, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED || (address != NULL && memory != address)) die("there is no memory to prepare the image in", "");
  return memory;
}

static void begin(void) {
  aside = aside_next = reserve(ASIDE_ADDRESS, ASIDE);
  aside_records = reserve(NULL, ASIDE);
  records = reserve(NULL, (size_t)(image_end - image_first_block()));
  if (!read_all(STDIN_FILENO, &lifetimes, ASIDE)) die("the lifetimes of the image's blocks cannot be read", "");
  rehearsing = lifetimes.length == 0;
  image_heap_in_use = true;
}

static bool is_aside(uintptr_t address) { return address >= (uintptr_t)aside && address < (uintptr_t)aside_next; }

static size_t *record_of(const void *block) {
  const char *at = block;
  return is_aside((uintptr_t)at) ? &aside_records[(size_t)(at - aside) / sizeof(size_t)] : &records[(size_t)(at - image_first_block()) / sizeof(size_t)];
}

size_t image_heap_size(const void *block) { return *record_of(block) & ~RELEASED; }

void *image_heap_allocate(size_t size) {
  if (!rehearsing && allocations == lifetimes.length) die("the engine does not allocate as it did at the rehearsal", "");
  size_t whole = HEADER + heap_rounded(size);
  bool survives = rehearsing || lifetimes.bytes[allocations] == SURVIVES;
  char **next = survives ? &image.heap.next : &aside_next;
  const char *end = survives ? image.heap.end : aside + ASIDE;
  if ((size_t)(end - *next) < whole) die("the image has no room for the programs", "");
  char *block = *next + HEADER;
  *next += whole;
  allocations++;
  heap_unpoison(block - HEADER, whole);
  *record_of(block) = heap_rounded(size);
  if (HEADER > 0) *heap_header(block) = heap_rounded(size);
  return block;
}

void image_heap_release(void *block) { *record_of(block) |= RELEASED; }

/* Returns whether the first block at or after `*at` was freed; `*at` becomes the end of that block. */
static bool next_released(const char **at) {
  size_t record = *record_of(*at + HEADER);
  *at += HEADER + (record & ~RELEASED);
  return (record & RELEASED) != 0;
}

static void require_released(const char *at, const char *end, bool wanted) {
  while (at < end) {
    if (next_released(&at) != wanted) die("a block of the engine has another lifetime than at the rehearsal", "");
  }
}

static void write_lifetimes(const char *at, const char *end) {
  Buffer out = {0};
  while (at < end) {
    if (!buffer_reserve(&out, 1)) die("out of memory", "");
    out.bytes[out.length++] = next_released(&at) ? FREED : SURVIVES;
  }
  _exit(write_all(STDOUT_FILENO, out.bytes, out.length) ? 0 : 1);
}

/* Returns the end of the surviving blocks, the first of which is at `start`. Does not return from the rehearsal. */
static char *end_at(char *start) {
  image_heap_in_use = false;
  char *end = image.heap.next;
  if (rehearsing) write_lifetimes(start, end);
  if (allocations != lifetimes.length) die("the engine does not allocate as it did at the rehearsal", "");
  require_released(start, end, false);
  require_released(aside, aside_next, true);
  memset(image.heap.free_blocks, 0, sizeof image.heap.free_blocks);
  image.heap.end = end;
  return end;
}

/*
 * Clears addresses that are meaningless in another process: the bounds of the stack, which image_prepare sets again, and stale pointers to the
 * stack and to freed blocks in fields that the engine no longer reads.
 */
static void forget_addresses(const char *end) {
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  for (uintptr_t *word = (uintptr_t *)&image; (const char *)word < end; word++) {
    if ((*word > here - (16u << 20) && *word < here + (1u << 20)) || is_aside(*word)) *word = 0;
  }
}

_Noreturn void image_write(void) {
  begin();
  image_prepare();
  if (JS_IsJobPending(image.runtime)) die("the top level of a module waits for a promise, which nothing here keeps", "");
  const char *end = end_at(image_first_block());
  image.taken = true;
  forget_addresses(end);
  _exit(write_all(STDOUT_FILENO, (const char *)&image, (size_t)(end - (const char *)&image)) ? 0 : 1);
}

void image_heap_watch(char *at, const char *end) {
  while (at < end) {
    char *header = at;
    at += HEADER + *heap_header(at + HEADER);
    heap_poison(header, HEADER);
  }
}
