/** fleet show: the full history of a task. */
import type { Command } from "../command.ts";

const storyView = async () => (await import("../../views/task-details.ts")).StoryView;

export const showCommand: Command = {
  usage: "show <task>",
  summary: "show the full history of a task",
  options: [],
  examples: ["fleet show 3f9a1c2b", "fleet show 3f9a1c2b --json | jq .next"],

  async run({ api, terminal, json, world }, [task = ""]) {
    const story = await api.request("GET /api/fleet/tasks/:task/story", { path: { task } }, storyView);
    if (json) {
      terminal.json(story);
      return;
    }
    const { storyLines } = await import("../print/story-lines.ts");
    for (const line of storyLines(terminal, story, world.clock())) terminal.line(line);
  },
};
