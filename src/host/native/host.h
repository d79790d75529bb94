/*
 * The native host: one C function per call of src/host/native.ts, each a thin layer over system calls, without policy.
 *
 *   main.c        start, choice of the bundle by the executable's name
 *   die.c         the last resort, when TypeScript cannot answer
 *   image.c       the prepared engine, made at build time or at start
 *   heap.c        the memory of the engine
 *   image_heap.c  the engine's allocator while the build prepares the engine
 *   value.c       arguments and results of native functions, failures as exceptions
 *   errors.c      the names of errno
 *   process.c     arguments, environment, standard streams, clocks, random bytes
 *   files.c       whole files: read, write, create, replace, append
 *   directories.c     names: rename, unlink, mkdir, readdir, stat
 *   lock.c        flock with a deadline
 *   run.c         running a program
 *   namespaces.c  network namespaces
 *   netlink.c     netlink sockets
 *
 * Common rules: a failing call returns an exception with errno's name; EINTR is not a failure; every descriptor is close-on-exec;
 * descriptors 0, 1 and 2 are always open, so that no other file can become a standard stream.
 */
#ifndef TORTIE_HOST_H
#define TORTIE_HOST_H

#include <quickjs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* errors.c */

/* "ENOENT" for ENOENT; "E<number>" in `unknown` (16 bytes) for a number without a name. */
const char *errno_name(int number, char *unknown);

/* heap.c */
#define HEAP_CLASSES 345

typedef struct Heap {
  char *next, *end;
  void *free_blocks[HEAP_CLASSES];
} Heap;

extern const JSMallocFunctions heap_functions;
/* Allocates from `chunk` next. */
void heap_start(char *chunk, char *end);
/* The size of a block, stored before it. */
size_t *heap_header(const void *block);

/* Rounds a size up so that the next block is aligned. */
static inline size_t heap_rounded(size_t size) { return size <= 8 ? 8 : (size + 7) & ~(size_t)7; }

/* Tells the address sanitizer which memory is not in use. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif
#ifdef WATCHED
#include <sanitizer/asan_interface.h>
#define UNWATCHED __attribute__((no_sanitize("address")))
#define heap_poison(start, size) __asan_poison_memory_region(start, size)
#define heap_unpoison(start, size) __asan_unpoison_memory_region(start, size)
/* A checksum of the engine's frozen objects: their reference counts must not change (patches/frozen.patch). */
uint64_t JS_SumFrozen(JSRuntime *rt);
/* Frees all memory that was allocated since the start. */
void heap_forget(void);
/* How many chunks are mapped. */
size_t heap_chunks(void);
#else
#define WATCHED 0
#define UNWATCHED
#define heap_poison(start, size) ((void)(start), (void)(size))
#define heap_unpoison(start, size) ((void)(start), (void)(size))
#endif

/* image_heap.c */

/* True while the build prepares the engine. */
extern bool image_heap_in_use;
void *image_heap_allocate(size_t size);
size_t image_heap_size(const void *block);
void image_heap_release(void *block);
/* Tells the address sanitizer about the blocks of an image. */
void image_heap_watch(char *start, const char *end);

/* value.c */

/* Bytes of a JavaScript string as UTF-8; `bytes` is NULL if reading it failed and an exception is pending. */
typedef struct Text {
  JSContext *ctx;
  const char *bytes;
  size_t length;
} Text;

/* A growing buffer of bytes. */
typedef struct Buffer {
  char *bytes;
  size_t length, capacity;
} Buffer;

/* Released at the end of the variable's scope. */
#define OWNED_TEXT __attribute__((cleanup(text_release))) Text
#define OWNED_BUFFER __attribute__((cleanup(buffer_release))) Buffer
#define OWNED_FD __attribute__((cleanup(fd_release))) int

void text_release(Text *text);
void buffer_release(Buffer *buffer);
void fd_release(int *fd);

/* An empty buffer in static memory; only one may be in use at a time. */
Buffer scratch_buffer(void);
/* Makes room for `more` bytes after `length`; false with errno ENOMEM. */
bool buffer_reserve(Buffer *buffer, size_t more);

/* Throws an Error with `code`, `syscall` and the message `<syscall> <object>: <strerror>`; `object` may be NULL. */
JSValue throw_errno(JSContext *ctx, int number, const char *syscall, const char *object);

Text text_argument(JSContext *ctx, JSValueConst value);
/* Like text_argument, but a path with a NUL byte is EINVAL. */
Text path_argument(JSContext *ctx, JSValueConst value);
/* False if an exception is pending. */
bool int_argument(JSContext *ctx, JSValueConst value, int *number);
bool double_argument(JSContext *ctx, JSValueConst value, double *number);
/* Milliseconds, not negative and below a hundred years, the limit of every clock. NaN is 0. */
bool wait_argument(JSContext *ctx, JSValueConst value, double *milliseconds);
/* A number of bytes: negative numbers and NaN are 0. */
bool size_argument(JSContext *ctx, JSValueConst value, size_t *size);
/* Milliseconds for poll(2), rounded up. */
int poll_timeout(double milliseconds);

JSValue new_bytes(JSContext *ctx, const void *bytes, size_t length);
void set_number(JSContext *ctx, JSValueConst object, const char *name, double number);

/* files.c */

/* One read(2) appended to the buffer: its count, or -1 with errno, which is EFBIG if the total exceeds `limit` bytes. */
ssize_t read_some(int fd, Buffer *buffer, size_t limit);
/* The same until end of file. */
bool read_all(int fd, Buffer *buffer, size_t limit);
bool write_all(int fd, const char *bytes, size_t length);
int open_retrying(const char *path, int flags, int mode);

/* process.c */
extern int process_argc;
extern char **process_argv;
extern char **process_environment;
double monotonic_ms(void);
/* read_all, but no longer than until `deadline` (of monotonic_ms): then false with errno ETIMEDOUT. */
bool read_until(int fd, Buffer *buffer, size_t limit, double deadline);

/* namespaces.c */

/* Enters the namespace of `fd`; `leave_netns` returns to the previous one. Returns 0 or an errno number. Never nested. */
int enter_netns(int fd);
void leave_netns(void);

/* image.c */

/* The unpatched engine freezes nothing, and is prepared at each start. */
#ifdef TORTIE_STOCK
#define JS_Freeze(runtime, start, end) ((void)(runtime), (void)(start), (void)(end))
#endif

/*
 * The engine with the bundle's modules evaluated. In a build with an image, this structure and the heap after it are part of the executable,
 * as the build prepared them; see image.c.
 */
typedef struct Image {
  _Alignas(16) bool taken;
  Heap heap;
  JSRuntime *runtime;
  JSContext *ctx;
  JSValue mains; /* the object that the bundle exports: name of a program to its function; see image_program */
} Image;

extern Image image;
extern char image_end[];
/* Prepares the engine; does nothing if the image contains it. */
void image_prepare(void);
/*
 * The function of a program, undefined if there is none. A program outside of the image is loaded now: it starts a millisecond later, and takes a
 * third of the bytes in the executable.
 */
JSValue image_program(const char *name);
/* The start of the heap. */
char *image_first_block(void);
/* Run by the build, twice (image_heap.c): writes to standard output first which blocks were freed, then, with that as input, the image. */
_Noreturn void image_write(void);
/* Under the address sanitizer, aborts if a frozen reference count has changed. */
void image_check(void);

/* die.c */

_Noreturn void die_of_error(JSContext *ctx, JSValue error);
/* The last resort: answers the runtime with an error object of code 999 and ends with status 1. */
_Noreturn void die(const char *message, const char *details);

/* scripts/build/executable.ts links these: the bundle of the image's programs, that of the others, and the line table of both. */
extern const uint8_t bytecode[], bytecode_end[];
extern const uint8_t later[], later_end[];
extern const char lines[], lines_end[];

/* The functions each file adds to the object `native`. */
#define FUNCTION_LISTS(X) X(process) X(files) X(directories) X(lock) X(run) X(namespaces) X(netlink) X(socket)
#define DECLARE_LIST(area) \
  extern const JSCFunctionListEntry area##_functions[]; \
  extern const int area##_function_count;
FUNCTION_LISTS(DECLARE_LIST)
#define DEFINE_LIST(area) const int area##_function_count = sizeof area##_functions / sizeof area##_functions[0];

#endif
