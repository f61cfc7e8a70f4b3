"""HTTP: parse, authorize, call one method of the Lab, answer."""
