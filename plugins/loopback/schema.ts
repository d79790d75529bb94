/** The configuration of `loopback`: nothing of its own. */
import * as z from "zod";
import { logKeys } from "../../src/plugin/schema.ts";

export const schema = z.object({ ...logKeys });
