/** Unix users for tests that run as root; removed again afterwards. */
import { randomBytes } from "node:crypto";
import { execa } from "execa";

export interface TestUsers extends AsyncDisposable {
  readonly names: readonly string[];
}

/** `await using users = await unixUsers(2)`. */
export async function unixUsers(count: number): Promise<TestUsers> {
  const names = Array.from({ length: count }, () => `fleet-t${randomBytes(4).toString("hex")}`);
  // One after the other, because useradd locks the user database.
  for (const name of names) await execa("useradd", ["--system", "--no-create-home", "--user-group", name]);
  return {
    names,
    async [Symbol.asyncDispose]() {
      for (const name of names) await execa("userdel", ["--force", name], { reject: false });
    },
  };
}

export const isRoot = process.getuid?.() === 0;
