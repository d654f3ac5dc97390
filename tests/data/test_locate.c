#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "idx_files.h"
#include "support/support.h"
#include "vgg11/data/dataset.h"

static char *folder;
static char directory[DATASET_PATH_MAX];

static void set_up(void)
{
    folder = support_make_folder();
    unsetenv("VGG11_DATA");
}

static void tear_down(void)
{
    unsetenv("VGG11_DATA");
    support_remove_folder(folder);
    free(folder);
}

START_TEST(without_a_name_the_shipped_files_are_found)
{
    dataset_source source;
    ck_assert_int_eq(dataset_locate(NULL, directory), VGG_OK);
    ck_assert_int_eq(dataset_open(directory, DATASET_TRAIN, 0, &source), VGG_OK);
    ck_assert_uint_eq(source.count, 60000);
    setenv("VGG11_DATA", "", 1);
    ck_assert_int_eq(dataset_locate(NULL, directory), VGG_OK);
}
END_TEST

START_TEST(a_named_folder_goes_first_and_the_environment_second)
{
    ck_assert_int_eq(dataset_locate(folder, directory), VGG_OK);
    ck_assert_str_eq(directory, folder);
    setenv("VGG11_DATA", folder, 1);
    ck_assert_int_eq(dataset_locate(NULL, directory), VGG_OK);
    ck_assert_str_eq(directory, folder);
    ck_assert_int_eq(dataset_locate(VGG_TEST_DATA, directory), VGG_OK);
    ck_assert_str_eq(directory, VGG_TEST_DATA);
}
END_TEST

static void assert_not_located(const char *asked, const char *says)
{
    ck_assert_int_eq(dataset_locate(asked, directory), VGG_BAD_DATA);
    ck_assert_msg(strstr(vgg_message(), says) != NULL, "\"%s\" lacks \"%s\"", vgg_message(), says);
}

/* A wrong name is never replaced by another folder. */
START_TEST(a_wrong_name_is_refused)
{
    char long_name[2 * DATASET_PATH_MAX];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    file_write(path_in(folder, "file"), (const uint8_t *)"x", 1);
    assert_not_located("/nonexistent/data", "/nonexistent/data");
    assert_not_located("", "--data");
    assert_not_located(path_in(folder, "file"), "not a folder");
    assert_not_located(long_name, "too long");
    setenv("VGG11_DATA", "/nonexistent/data", 1);
    assert_not_located(NULL, "VGG11_DATA /nonexistent/data");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("locate");
    TCase *tests = tcase_create("locate");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, without_a_name_the_shipped_files_are_found);
    tcase_add_test(tests, a_named_folder_goes_first_and_the_environment_second);
    tcase_add_test(tests, a_wrong_name_is_refused);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
