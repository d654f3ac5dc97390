/* Curves of the run for TensorBoard: what each step and each evaluation gave, with its time, as they come. Rank 0 only. */
#ifndef VGG11_REPORT_TENSORBOARD_H
#define VGG11_REPORT_TENSORBOARD_H

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

typedef struct tensorboard tensorboard;

/* Makes the folder unless it is there, and in it a new file events.out.tfevents.<time>.<host>.<process>: TensorBoard reads all such
 * files of a folder, one after the other. VGG_IO_ERROR if that fails. The caller closes. */
vgg_status tensorboard_open(const char *folder, tensorboard **out);

/* Warns once if any write failed; what was written whole stays readable. NULL is fine. */
void tensorboard_close(tensorboard *t);

/* Each event is in the file when the observer returns. Where a run goes on or back, what TensorBoard has of later steps is declared void. */
run_observer tensorboard_observer(tensorboard *t);

#endif
