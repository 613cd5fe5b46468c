/* SPDX-License-Identifier: Apache-2.0 */
/* Options of sanitizer builds: moat's own processes have no environment to take them from. A
 * finding ends the process, so that a test sees it. */
#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0"; /* which needs ptrace */
}
#elif defined(__SANITIZE_THREAD__)
const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
	return "halt_on_error=1:exitcode=66:second_deadlock_stack=1";
}
#else
typedef int sanitizer_none;
#endif
