/* Turns for others while a pass runs, so that what a network sends goes on during a long pass without a thread of its own. */
#ifndef VGG11_NN_BETWEEN_TILES_H
#define VGG11_NN_BETWEEN_TILES_H

#include "vgg11/nn/network.h"

/* From now on until between_tiles_end(), between_tiles() on this thread calls hooks->poll. NULL, or a NULL poll: nothing does. */
void between_tiles_begin(const network_hooks *hooks);
void between_tiles_end(void);

/* For algorithms to call from any of their threads after each tile or unit of work of some microseconds or more: polls if this
 * is the thread that began, and it has not done so for a while. */
void between_tiles(void);

#endif
