"""Rules of what comes and goes, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

FLAPPING_BENDS: tuple[Bend, ...] = (
    Bend(
        "site.flapping",
        "OFTEN = 3\n",
        "OFTEN = 3000\n",
        "scenarios.test_flapping:test_a_board_that_is_lost_each_second_writes_three_events_in_the_first_hour_not_thousands",
        (),
        (),
    ),
    Bend(
        "site.flapping",
        "                yield flap.last\n",
        "",
        "scenarios.test_flapping:test_once_it_is_steady_the_count_is_told_and_what_is_true_then",
        (),
        (),
    ),
    Bend(
        "site.flapping",
        "            flap.count += lost\n",
        "            pass\n",
        "scenarios.test_flapping:test_once_it_is_steady_the_count_is_told_and_what_is_true_then",
        (),
        (),
    ),
    Bend(
        "site.flapping",
        '            return "store", None\n',
        '            return "store", BoardId(str(id(fact)))\n',
        "scenarios.test_flapping:test_a_disk_that_comes_and_goes_is_told_the_same_way",
        (),
        (),
    ),
)
