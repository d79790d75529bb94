/*
 * What the sanitizers are told: plugins get no environment of the test's. A finding ends the process with a status that nothing else has,
 * and is written to a file that the tests look for, as some callers pass over a plugin's failure.
 */

#define SHARED "exitcode=86:log_path=" TORTIE_FINDINGS "/finding:log_exe_name=true"

/* Plugins end without giving their memory back, on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return SHARED ":detect_leaks=0:allocator_may_return_null=1:handle_abort=1"; }

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return SHARED ":print_stacktrace=1"; }
