const action = { enum: ["allow", "deny"] };
const text = { type: "string", minLength: 1, maxLength: 255 };
const texts = { type: "array", minItems: 1, maxItems: 256, items: text };
const cidr = {
	type: "string",
	description: "Of IPv4 or IPv6; an address alone is a network of one.",
	pattern: "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
};
const port = {
	anyOf: [
		{ type: "integer", minimum: 1, maximum: 65_535 },
		{ type: "string", pattern: "^[0-9]{1,5}(-[0-9]{1,5})?$" },
	],
};
const ports = { anyOf: [port, { type: "array", minItems: 1, maxItems: 256, items: port }] };

const selector = {
	type: "object",
	description: "Sandboxes for which all of it holds; of a list, any entry. Texts may hold *.",
	minProperties: 1,
	additionalProperties: false,
	properties: {
		all: { const: true },
		names: texts,
		labels: { type: "object", minProperties: 1, additionalProperties: text },
		networks: texts,
		projects: { ...texts, description: "Names of Compose projects." },
	},
};

const peer = {
	anyOf: [
		{
			type: "string",
			description:
				"A network, an address, a host name, *.NAME or host; with :PORT or :FROM-TO behind, IPv6 then in brackets: [2001:db8::1]:443.",
		},
		{
			type: "object",
			additionalProperties: false,
			properties: {
				cidr,
				except: { type: "array", items: cidr },
				sandboxes: selector,
				name: { ...text, description: "api.example.org, or *.example.org for every name below it." },
				host: { const: true, description: "The machine that the engine runs on." },
				ports,
			},
		},
	],
};

const peers = {
	type: "array",
	minItems: 1,
	maxItems: 256,
	items: peer,
	description: "Alternatives; without the list: whoever.",
};

const policy = {
	type: "object",
	required: ["name"],
	additionalProperties: false,
	properties: {
		name: { type: "string", pattern: "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,39}$" },
		select: selector,
		default: { type: "object", additionalProperties: false, properties: { egress: action, ingress: action } },
		rules: {
			type: "array",
			maxItems: 512,
			items: {
				type: "object",
				required: ["action"],
				additionalProperties: false,
				properties: {
					action,
					direction: { enum: ["egress", "ingress"], description: "Needed only without to and from." },
					to: peers,
					from: peers,
					ports,
					protocols: { type: "array", items: { enum: ["tcp", "udp", "icmp"] } },
					comment: text,
				},
			},
		},
	},
};

/** JSON Schema of what `POST /foredeck/v1/policies` and a policy file take; `parse.ts` is what decides, and says more. */
export const policySchema = {
	$schema: "https://json-schema.org/draft/2020-12/schema",
	title: "Foredeck network policies",
	$defs: { policy },
	anyOf: [
		{ $ref: "#/$defs/policy" },
		{ type: "array", minItems: 1, maxItems: 256, items: { $ref: "#/$defs/policy" } },
		{
			type: "object",
			required: ["policies"],
			additionalProperties: false,
			properties: { policies: { type: "array", minItems: 1, maxItems: 256, items: { $ref: "#/$defs/policy" } } },
		},
	],
} as const;
