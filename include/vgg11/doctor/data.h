/* What is wrong with a data set, from its bytes alone. Nothing here is collective. */
#ifndef VGG11_DOCTOR_DATA_H
#define VGG11_DOCTOR_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "vgg11/base/status.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/dataset.h"
#include "vgg11/doctor/findings.h"
#include "vgg11/train/shared_dataset.h"

/* Images that are blank, of a single grey or all the same; classes that are missing; labels that have nothing to do with the images or
 * stand beside theirs; test images that are turned, inverted or otherwise unlike those of training. Labels are held against images by a
 * classifier that takes the class whose mean image is nearest: learned from up to 1,000 training images, and tried on as many others.
 * Takes no memory, and some milliseconds at most, so that every training may begin with it. */
void doctor_check_data(const dataset *train, const dataset *test, doctor_findings *findings);

/* Images that are there more than once, within the training set or in both sets. VGG_UNAVAILABLE without memory. */
vgg_status doctor_check_copies(const dataset *train, const dataset *test, doctor_findings *findings);

/* What pixels become: numbers far from the size of one. `histogram` is that of all training pixels. */
void doctor_check_scale(const normalization *pixels, const uint64_t histogram[256], doctor_findings *findings);

/* Samples that are to be taken in the order of the files, and lie there sorted by class. */
void doctor_check_order(const dataset *train, bool shuffle, doctor_findings *findings);

/* For trainer.h's `look`: one line of warning for the first of what the checks that take no memory find, unless it may be meant so. */
void doctor_warn(const shared_dataset *train, const shared_dataset *test, const normalization *pixels);

/* Whether what was found leaves nothing to be learned from the images, so that no step could show more. */
bool doctor_data_is_void(const doctor_findings *findings);

#endif
