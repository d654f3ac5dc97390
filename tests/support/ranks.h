/* What the tests over ranks share. */
#ifndef VGG11_TESTS_SUPPORT_RANKS_H
#define VGG11_TESTS_SUPPORT_RANKS_H

#include "support/support.h"
#include "vgg11/comm/comm.h"

/* Opened by ranks_main(). */
extern comm *ranks;

/* Opens `ranks`, runs the suite, closes them. A check that fails on one rank fails the program on all. */
int ranks_main(int argc, char **argv, Suite *(*make_suite)(void));

/* From here on this process makes a node that gives no shared memory, and no file that grows: a limit on the size of files holds for those
 * in memory, too. Until ranks_allow_shared_memory(); libcheck writes to a file as well, so no check may come between. */
void ranks_refuse_shared_memory(void);
void ranks_allow_shared_memory(void);

/* Collective. Fails the test unless `right` is true on all ranks. */
#define ranks_assert(right, what) ranks_assert_at(__FILE__, __LINE__, (right), (what))
void ranks_assert_at(const char *file, int line, bool right, const char *what);

#endif
