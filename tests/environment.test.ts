/** Settings of a process: defaults, and every invalid variable in one error. */
import { expect, test } from "vitest";
import { readConfig } from "../src/environment.ts";

const machine = { homeDir: "/home/ada", hostName: "build_7.example.org" };

test("an empty environment gives the defaults, and a home directory and a host name of this machine", () => {
  const config = readConfig({ REDIS_URL: "", PORT: " " }, machine);

  expect(config).toMatchObject({
    PORT: 8080,
    FLEET_HOST: "127.0.0.1",
    FLEET_HOME: "/home/ada/.local/share/fleetwright",
    FLEET_HOST_ID: "build-7",
    FLEET_HEARTBEAT_INTERVAL_MS: 15_000,
    FLEET_TICK_MS: 5_000,
  });
  expect(config).not.toHaveProperty("REDIS_URL");
  expect(Object.isFrozen(config)).toBe(true);
});

test("XDG_DATA_HOME is used when it is absolute", () => {
  expect(readConfig({ XDG_DATA_HOME: "/data" }, machine).FLEET_HOME).toBe("/data/fleetwright");
  expect(readConfig({ XDG_DATA_HOME: "data" }, machine).FLEET_HOME).toBe("/home/ada/.local/share/fleetwright");
  expect(readConfig({ XDG_DATA_HOME: "/data", FLEET_HOME: "/srv/fleet" }, machine).FLEET_HOME).toBe("/srv/fleet");
});

test("a host name without a usable letter still gives a name", () => {
  expect(readConfig({}, { ...machine, hostName: "___" }).FLEET_HOST_ID).toBe("host");
});

test("only named proxies are trusted, and a range of all addresses is refused", () => {
  const trusted = (FLEET_TRUST_PROXY: string) => readConfig({ FLEET_TRUST_PROXY }, machine).FLEET_TRUST_PROXY;

  expect(readConfig({}, machine).FLEET_TRUST_PROXY).toEqual([]);
  expect(trusted("10.0.0.7, 2001:db8::/32,loopback")).toEqual(["10.0.0.7", "2001:db8::/32", "loopback"]);
  for (const wrong of ["true", "1", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.7,,"]) {
    expect(() => trusted(wrong), wrong).toThrow("FLEET_TRUST_PROXY");
  }
});

test("every invalid variable is named in one error, and its value is not repeated", () => {
  const wrong = {
    DATABASE_URL: "mysql://u:hunter2@h/d",
    REDIS_URL: "nonsense",
    PORT: "70000",
    FLEET_SLOTS: "many",
    FLEET_HOST_ID: "a b",
    FLEET_ENCRYPTION_KEY: "c2hvcnQ=",
  };
  const refusal = () => readConfig(wrong, machine);

  for (const name of Object.keys(wrong)) expect(refusal).toThrow(name);
  expect(refusal).not.toThrow("hunter2");
});
