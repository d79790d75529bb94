/*
 * Options of the sanitizers, because plugins do not inherit the test's environment. A finding ends the process with a unique exit code, and is
 * written to a file that the tests look for, because some callers ignore a plugin's failure.
 */

#define SHARED "exitcode=86:log_path=" TORTIE_FINDINGS "/finding:log_exe_name=true"

/* Plugins exit without freeing their memory, on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return SHARED ":detect_leaks=0:allocator_may_return_null=1:handle_abort=1"; }

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return SHARED ":print_stacktrace=1"; }
