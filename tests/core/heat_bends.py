"""Rules of a socket's temperature, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_HEAT = "scenarios.test_heat:"
_TRIPS = _HEAT + "test_a_socket_of_seventy_degrees_is_opened_after_thirty_seconds"
_WARNS = _HEAT + "test_a_warm_socket_is_told_of_once_and_goes_on"

HEAT_BENDS: tuple[Bend, ...] = (
    Bend(
        "plan",
        "temperature_warn: Celsius = key(\n        Celsius(60.0)",
        "temperature_warn: Celsius = key(\n        Celsius(66.0)",
        _WARNS,
    ),
    Bend(
        "plan",
        "temperature_trip: Celsius = key(\n        Celsius(70.0)",
        "temperature_trip: Celsius = key(\n        Celsius(71.0)",
        _TRIPS,
    ),
    Bend(
        "plan",
        "temperature_trip: Celsius = key(\n        Celsius(70.0)",
        "temperature_trip: Celsius = key(\n        Celsius(69.9)",
        _TRIPS,
    ),
    Bend(
        "plan",
        "temperature_delay: Seconds = key(Seconds(30.0)",
        "temperature_delay: Seconds = key(Seconds(36.0)",
        _TRIPS,
    ),
    Bend(
        "metering.temperature",
        "celsius >= protection.temperature_trip",
        "celsius > protection.temperature_trip",
        _TRIPS,
    ),
    Bend(
        "metering.temperature",
        "celsius >= protection.temperature_warn)",
        "celsius > protection.temperature_warn)",
        _WARNS,
    ),
    Bend("metering.temperature", "COOLED = 5.0", "COOLED = 2.0", _WARNS),
    Bend("metering.temperature", "        self._warned = True\n", "", _WARNS),
    Bend(
        "metering.pickup",
        "if self._read_at is not None and at > after(self._read_at, self.keeps):",
        "if self._read_at is None:",
        _HEAT + "test_a_sensor_that_fell_silent_is_not_hot",
    ),
    Bend(
        "metering.pickup",
        "            return None\n        return until\n",
        "            pass\n        return until\n",
        _HEAT + "test_a_sensor_that_fell_silent_is_not_hot",
    ),
    Bend(
        "metering.temperature",
        "self.over, self._warm = DefiniteTime(delay, keeps=KEEPS)",
        "self.over, self._warm = DefiniteTime(delay, 1, KEEPS)",
        _HEAT + "test_one_reading_is_not_enough",
    ),
    Bend("metering.pickup", " or self.readings < self.needs", "", _HEAT + "test_one_reading_is_not_enough"),
    Bend(
        "metering.temperature",
        "return celsius is not None and celsius >= self.protection.temperature_warn",
        "return False",
        _HEAT + "test_a_warm_socket_is_not_started",
    ),
    Bend(
        "protection.temperature",
        "        self.timer = self._heat.over\n",
        "",
        _HEAT + "test_it_is_opened_between_two_readings_when_its_time_has_come",
    ),
    Bend(
        "protection.table",
        "StopReason.OVERTEMPERATURE, Clearing.LOCAL",
        "StopReason.OVERTEMPERATURE, Clearing.REMOTE",
        _HEAT + "test_it_stays_shut_until_somebody_has_looked_at_it",
    ),
)
