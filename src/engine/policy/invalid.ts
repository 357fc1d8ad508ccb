import { EngineError } from "../../shared/errors.ts";

/** `invalid policy: rules[0].action is "permit": allowed are allow, deny` */
export function wrong(path: string, value: unknown, allowed: string): EngineError {
	const shown = value === undefined ? "missing" : JSON.stringify(value)?.slice(0, 100);
	return new EngineError("invalid", `invalid policy: ${path} is ${shown}: allowed: ${allowed}`);
}
