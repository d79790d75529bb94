/*
 * For GCC's profiling library where glibc is 2.38 or newer (Debian 13). That library was compiled against glibc's headers, which rename
 * strtol to __isoc23_strtol: C23's, which reads binary numbers too. musl has no such name. Its own strtol reads what the library asks
 * for: decimal numbers in the environment (GCOV_PREFIX_STRIP and the like).
 */
#include <stdlib.h>

long __isoc23_strtol(const char *text, char **end, int base);

long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
