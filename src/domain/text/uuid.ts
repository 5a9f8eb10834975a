/** The form of an id: a UUID as Fleetwright writes it, in lower case. */

export const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Before every other id: where paging through all of them begins. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";
