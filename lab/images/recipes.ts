import { join } from "node:path";
import type { LayerRecipe, PackageImage } from "../lib/package-image.ts";

const files = (name: string) => join(import.meta.dir, name, "root");

/** What every image stands on: a shell, its tools, curl and ping. */
export const BASE: LayerRecipe = {
	packages: [
		"base-files",
		"bash",
		"coreutils",
		"curl",
		"dash",
		"findutils",
		"grep",
		"hostname",
		"iputils-ping",
		"libc-bin",
		"mawk",
		"netbase",
		"procps",
		"sed",
	],
	files: files("base"),
	finish: "ln -sf dash /bin/sh; ln -sf mawk /usr/bin/awk; chmod 1777 /tmp /var/tmp; touch /etc/hosts",
};

/** The images of the stacks, by name. */
export const STACK_IMAGES = {
	mariadb: {
		packages: ["mariadb-server-core", "mariadb-client-core"],
		files: files("mariadb"),
		finish: "mkdir -p /run/mysqld /var/lib/mysql; chown mysql:mysql /run/mysqld /var/lib/mysql",
		config: {
			tag: "lab/mariadb:latest",
			cmd: ["start-mariadb"],
			volumes: ["/var/lib/mysql"],
			exposedPorts: ["3306/tcp"],
		},
	},
	redis: {
		packages: ["redis-server"],
		finish: "mkdir -p /data; chown redis:redis /data",
		config: {
			tag: "lab/redis:latest",
			cmd: ["redis-server", "--bind", "*", "--protected-mode", "no", "--dir", "/data"],
			user: "redis",
			volumes: ["/data"],
			workingDir: "/data",
			exposedPorts: ["6379/tcp"],
		},
	},
	nginx: {
		packages: ["nginx"],
		finish:
			"mkdir -p /var/lib/nginx /var/log/nginx; ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log",
		config: {
			tag: "lab/nginx:latest",
			cmd: ["nginx", "-g", "daemon off;"],
			exposedPorts: ["80/tcp"],
			stopSignal: "SIGQUIT",
		},
	},
	python: {
		packages: ["python3-flask", "python3-pymysql", "python3-redis"],
		finish:
			"python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.* >/dev/null || true",
		config: {
			tag: "lab/python:latest",
			cmd: ["python3"],
			env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED=1"],
			workingDir: "/app",
		},
	},
	wordpress: {
		packages: [
			"apache2",
			"libapache2-mod-php",
			"php-mysql",
			"php-xml",
			"wordpress",
			"wordpress-theme-twentytwentythree",
		],
		files: files("wordpress"),
		// what the packages' scripts do: PHP's modules and WordPress's themes and plugins are turned on
		finish: `for ini in /usr/share/php*/*/*.ini; do
				modules=/etc/php/$(basename /etc/php/[0-9]*)/apache2/conf.d
				mkdir -p $modules
				priority=$(sed -n 's/^; *priority *= *//p' $ini)
				cp $ini $modules/\${priority:-20}-$(basename $ini)
			done
			for part in themes plugins; do
				for path in /usr/share/wordpress/wp-content/$part/*; do ln -sfn $path /var/lib/wordpress/wp-content/$part/; done
			done
			cp /etc/apache2/mods-available/php*.load /etc/apache2/php.load
			mkdir -p /run/lock /var/log/apache2
			chown -R www-data:www-data /var/lib/wordpress/wp-content`,
		config: {
			tag: "lab/wordpress:latest",
			cmd: ["start-wordpress"],
			volumes: ["/var/lib/wordpress/wp-content"],
			exposedPorts: ["80/tcp"],
			stopSignal: "SIGWINCH",
		},
	},
} satisfies Record<string, PackageImage>;

export type StackImage = keyof typeof STACK_IMAGES;
