/* Private to report: the tables of a run's page, each a section with its heading; nothing where the run has not got so far. */
#ifndef VGG11_REPORT_HTML_TABLES_H
#define VGG11_REPORT_HTML_TABLES_H

#include <stdio.h>

#include "report/run_record.h"

/* A row an epoch; of very many, every so many and the best. `set` is what is evaluated on. */
void html_write_epochs(FILE *out, const run_record *record, const char *set);

/* The last evaluation's confusion matrix, if it was recorded. */
void html_write_confusion(FILE *out, const run_record *record, const char *set);

/* Pictures of the images that the last evaluation got wrong with the highest probability, if they were recorded. */
void html_write_mistakes(FILE *out, const run_record *record, const char *set);

/* Where the time of all processes went. */
void html_write_phases(FILE *out, const run_record *record);

/* Row of the evaluation with the highest accuracy, the first of equals; `count` of the series if there is none. */
size_t html_best_eval(const run_record *record);

#endif
