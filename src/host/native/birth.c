/*
 * The memory of the engine while the build makes it ready: only what lasts shall lie in the image, without a gap.
 *
 * Who allocates cannot know whether a block lasts. But the engine does the same each time, so the build has it done twice: a rehearsal
 * writes down which of its blocks were released (a byte for each, in the order of their births), and the next run puts these aside, into memory
 * that is not part of the image. That saves a third of what the image would hold: tables that grew, temporary objects, and the bundle's top level
 * itself, which runs once.
 *
 * A block's header holds its size, and in its lowest bit whether it was released. No block is used twice.
 */
#include "host.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ASIDE ((size_t)64 << 20)
/*
 * Fixed: the engine hashes shapes by the address of their prototype. At a random address, one that lies aside would land in another bucket in
 * one run of 256, and a shape that lasts would remember another neighbour. Far above 4 GiB: a number in the image must not look like it
 * (forget_addresses).
 */
#define ASIDE_ADDRESS ((void *)0x3b9d50000000)
#define RELEASED ((size_t)1)

enum { LASTS, GOES };

bool birth_going_on;
static Buffer fates;
static size_t births;
static bool rehearsing;
static char *aside, *aside_next;

static void begin(void) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  aside = aside_next = mmap(ASIDE_ADDRESS, ASIDE, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (aside != ASIDE_ADDRESS || !read_all(STDIN_FILENO, &fates, ASIDE)) die("the fates of the image's blocks cannot be read", "");
  rehearsing = fates.length == 0;
  birth_going_on = true;
}

void *birth_allocate(size_t size) {
  if (!rehearsing && births == fates.length) die("the engine is made ready in another way than at the rehearsal", "");
  size_t whole = sizeof(size_t) + heap_rounded(size);
  bool lasts = rehearsing || fates.bytes[births] == LASTS;
  char **next = lasts ? &image.heap.next : &aside_next;
  const char *end = lasts ? image.heap.end : aside + ASIDE;
  if ((size_t)(end - *next) < whole) die("the image has no room for the programs", "");
  char *block = *next + sizeof(size_t);
  *next += whole;
  births++;
  heap_unpoison(block - sizeof(size_t), whole);
  *heap_header(block) = heap_rounded(size);
  return block;
}

void birth_release(void *block) { *heap_header(block) |= RELEASED; }

/* The next block from `*at`, or NULL behind the last one. */
static char *next_block(char **at, const char *end, bool *released) {
  if (*at >= end) return NULL;
  char *block = *at + sizeof(size_t);
  size_t header = *heap_header(block);
  *released = (header & RELEASED) != 0;
  *at = block + (header & ~RELEASED);
  return block;
}

static void require_fate(char *at, const char *end, bool wanted) {
  bool released;
  while (next_block(&at, end, &released) != NULL) {
    if (released != wanted) die("a block of the engine has another fate than at the rehearsal", "");
  }
}

static void write_fates(char *at, const char *end) {
  bool released;
  Buffer out = {0};
  while (next_block(&at, end, &released) != NULL) {
    if (!buffer_reserve(&out, 1)) die("out of memory", "");
    out.bytes[out.length++] = released ? GOES : LASTS;
  }
  _exit(write_all(STDOUT_FILENO, out.bytes, out.length) ? 0 : 1);
}

/* Returns the end of what lasts, of which the first block is at `start`. Does not return at the rehearsal. */
static char *end_at(char *start) {
  birth_going_on = false;
  char *end = image.heap.next;
  if (rehearsing) write_fates(start, end);
  if (births != fates.length) die("the engine is made ready in another way than at the rehearsal", "");
  require_fate(start, end, false);
  require_fate(aside, aside_next, true);
  memset(image.heap.free_blocks, 0, sizeof image.heap.free_blocks);
  image.heap.end = end;
  return end;
}

static bool is_aside(uintptr_t address) { return address >= (uintptr_t)aside && address < (uintptr_t)aside_next; }

/*
 * Addresses that mean nothing in another process: the bounds of the stack, which image_prepare sets anew, and what the engine left in
 * fields that it no longer reads, of the stack and of blocks that it released.
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

void birth_watch(char *start, const char *end) {
  bool released;
  for (char *block, *at = start; (block = next_block(&at, end, &released)) != NULL;) {
    heap_poison(block - sizeof(size_t), sizeof(size_t));
  }
}
