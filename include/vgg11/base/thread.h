/* Threads beside the one that trains. */
#ifndef VGG11_BASE_THREAD_H
#define VGG11_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create(), for a thread that takes no signal: those are the main thread's. */
int thread_create(pthread_t *thread, void *(*run)(void *), void *context);

#endif
