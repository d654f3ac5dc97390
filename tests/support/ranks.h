/* What the tests over ranks share. */
#ifndef VGG11_TESTS_SUPPORT_RANKS_H
#define VGG11_TESTS_SUPPORT_RANKS_H

#include "support/support.h"
#include "vgg11/comm/comm.h"

/* Opened by ranks_main(). */
extern comm *ranks;

/* Opens `ranks`, runs the suite, and fails on every rank if it failed on one. */
int ranks_main(int argc, char **argv, Suite *(*make_suite)(void));

/* Fails the test on all ranks if `right` is false on one, so that none is left waiting in the next collective call. */
void ranks_assert(bool right, const char *what);

#endif
