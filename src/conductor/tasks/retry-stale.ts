/** Changing a task that others change at the same time: read it, try, and read it again when another writer was first. */
import { StaleVersionError } from "../../domain/errors.ts";
import type { Task } from "../../domain/task/task.ts";
import { getTask } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";

/** Ten races lost in a row have not been seen; the bound keeps a bug from looping forever. */
const MAX_TRIES = 10;

/** What must win against work that goes on at the same time: a stop, a removal, a pause. */
export async function retryOnStale<Result>(
  fleet: Fleet,
  taskId: string,
  change: (task: Task) => Promise<Result>,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    const task = await fleet.store.asSystem((tx) => getTask(tx, taskId));
    try {
      return await change(task);
    } catch (error) {
      if (!(error instanceof StaleVersionError) || tries >= MAX_TRIES) throw error;
    }
  }
}
