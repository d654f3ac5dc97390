/* An fsync() that fails, for programs into which the linker puts this in place of the C library's (vgg_fail_sync() in
 * cmake/VggTargets.cmake). */
#ifndef VGG11_TESTS_SUPPORT_FAILING_SYNC_H
#define VGG11_TESTS_SUPPORT_FAILING_SYNC_H

extern int sync_that_fails; /* the fsync() of that number from now on, counted from 1; 0: none */

#endif
