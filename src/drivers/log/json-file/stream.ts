export type LogStream = "stdout" | "stderr";
