/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ct/options.h"

#include "agent/ct/formats.h"
#include "base/err.h"
#include "base/macro.h"

/* Fields shared by most entries: a boolean, and an integer with limits. */
#define BOOLEAN(fallback) .type = SCHEMA_BOOLEAN, .default_value = (fallback)
#define INTEGER(smallest, largest) \
	.type = SCHEMA_INTEGER, .limited = true, .min = (smallest), .max = (largest)

/* Amounts of memory are MiB and end where bytes would not fit into 63 bits. */
#define MEMORY_MIB_MAX 8796093022207.0

/* Ids of users and groups; the largest 32-bit number means "none". */
#define GUEST_ID_MAX 4294967294.0

static const char *const arch_values[] = {
	"amd64", "arm64", "armhf", "i386", "riscv32", "riscv64", NULL};

static const char *const cmode_values[] = {"shell", "console", "tty", NULL};

static const char *const lock_values[] = {"backup", "create", "destroyed", "disk", "fstrim",
	"migrate", "mounted", "rollback", "snapshot", "snapshot-delete", NULL};

static const char *const ostype_values[] = {"alpine", "archlinux", "centos", "debian", "devuan",
	"fedora", "gentoo", "nixos", "opensuse", "ubuntu", "unmanaged", NULL};

static const char *const net_type_values[] = {"veth", NULL};

static const char *const snapstate_values[] = {"prepare", "delete", NULL};

const SchemaOption ct_net_props[] = {
	{.name = "name",
		.flags = SCHEMA_REQUIRED,
		.check = format_interface,
		.format_description = "<string>",
		.description = "Name of the interface as seen inside the container"},
	{.name = "bridge",
		.check = format_interface,
		.format_description = "<bridge>",
		.description = "Bridge of the host that the interface is plugged into"},
	{.name = "firewall",
		BOOLEAN("0"),
		.description = "Whether the firewall's rules hold for this interface"},
	{.name = "gw",
		.check = format_ipv4,
		.format_description = "<IPv4>",
		.description = "Default gateway for IPv4"},
	{.name = "gw6",
		.check = format_ipv6,
		.format_description = "<IPv6>",
		.description = "Default gateway for IPv6"},
	{.name = "host-managed",
		BOOLEAN("0"),
		.description = "Whether the host sets the addresses instead of the guest"},
	{.name = "hwaddr",
		.check = format_mac,
		.format_description = "<XX:XX:XX:XX:XX:XX>",
		.description = "MAC address; drawn at random when not given"},
	{.name = "ip",
		.check = format_ipv4_config,
		.format_description = "<IPv4/CIDR | dhcp | manual>",
		.description = "IPv4 address with prefix length, or how it is found"},
	{.name = "ip6",
		.check = format_ipv6_config,
		.format_description = "<IPv6/CIDR | auto | dhcp | manual>",
		.description = "IPv6 address with prefix length, or how it is found"},
	{.name = "link_down", BOOLEAN("0"), .description = "Whether the interface is unplugged"},
	{.name = "mtu",
		INTEGER(64, 65535),
		.description =
			"Largest packet in bytes; at most that of the bridge, which is the default"},
	{.name = "rate",
		.type = SCHEMA_NUMBER,
		.limited = true,
		.min = 0,
		.max = 1e9,
		.format_description = "<MB/s>",
		.description = "Limit of the interface's bandwidth in megabytes a second"},
	{.name = "tag",
		INTEGER(1, 4094),
		.description = "VLAN tag of the interface's traffic on the bridge"},
	{.name = "trunks",
		.check = format_vlan_list,
		.format_description = "<tag[;tag...]>",
		.description = "VLAN tags that the container may use itself"},
	{.name = "type",
		.type = SCHEMA_ENUM,
		.values = net_type_values,
		.description = "Kind of interface"},
	{.name = NULL},
};

/* Keys that rootfs and mpN have in common. */
/* clang-format off */
#define VOLUME_PROPS \
	{.name = "volume", \
		.flags = SCHEMA_REQUIRED | SCHEMA_DEFAULT_KEY, \
		.check = format_volume, \
		.format_description = "<volume>", \
		.description = "Volume, device or directory; STORAGE:SIZE makes a volume of SIZE GiB"}, \
	{.name = "acl", \
		.type = SCHEMA_BOOLEAN, \
		.description = "Whether POSIX ACLs are forced on or off"}, \
	{.name = "idmap", \
		.check = format_mount_idmap, \
		.format_description = "<passthrough | type:container:disk:count[;...]>", \
		.description = "Ids of the volume that are not mapped like the container's"}, \
	{.name = "mountoptions", \
		.check = format_mount_options, \
		.format_description = "<option[;option...]>", \
		.description = "Further mount options: discard, lazytime, noatime, nodev, noexec, nosuid"}, \
	{.name = "quota", \
		BOOLEAN("0"), \
		.description = "Whether user quotas work inside (privileged containers only)"}, \
	{.name = "replicate", \
		BOOLEAN("1"), \
		.description = "Whether replication jobs include the volume"}, \
	{.name = "ro", \
		BOOLEAN("0"), \
		.description = "Whether the volume is mounted read-only"}, \
	{.name = "shared", \
		BOOLEAN("0"), \
		.description = "Whether a directory or device is there on every node under the same path"}, \
	{.name = "size", \
		.check = format_size, \
		.canonical = canonical_size, \
		.format_description = "<size>", \
		.description = "Size of the volume, for information only"}
/* clang-format on */

const SchemaOption ct_rootfs_props[] = {
	VOLUME_PROPS,
	{.name = NULL},
};

const SchemaOption ct_mp_props[] = {
	VOLUME_PROPS,
	{.name = "mp",
		.flags = SCHEMA_REQUIRED,
		.check = format_mount_target,
		.format_description = "<path>",
		.description = "Where the volume is mounted inside the container"},
	{.name = "backup", BOOLEAN("0"), .description = "Whether backups include the volume"},
	{.name = "keepattrs",
		BOOLEAN("0"),
		.description =
			"Whether the mounted root gets owner and mode of the directory below it"},
	{.name = NULL},
};

const SchemaOption ct_unused_props[] = {
	{.name = "volume",
		.flags = SCHEMA_REQUIRED | SCHEMA_DEFAULT_KEY,
		.check = format_volume,
		.format_description = "<volume>",
		.description = "Volume that belongs to the container but is not used"},
	{.name = NULL},
};

const SchemaOption ct_features_props[] = {
	{.name = "force_rw_sys",
		BOOLEAN("0"),
		.description = "Mount /sys writable in an unprivileged container"},
	{.name = "fuse", BOOLEAN("0"), .description = "Allow FUSE file systems"},
	{.name = "keyctl",
		BOOLEAN("0"),
		.description = "Allow keyctl() in an unprivileged container"},
	{.name = "mknod",
		BOOLEAN("0"),
		.description = "Allow mknod() for harmless devices in an unprivileged container"},
	{.name = "mount",
		.check = format_mount_types,
		.format_description = "<fstype[;fstype...]>",
		.description = "Allow mounting file systems of these types"},
	{.name = "nesting", BOOLEAN("0"), .description = "Allow containers inside the container"},
	{.name = NULL},
};

const SchemaOption ct_dev_props[] = {
	{.name = "path",
		.flags = SCHEMA_REQUIRED | SCHEMA_DEFAULT_KEY,
		.check = format_device_path,
		.format_description = "<path>",
		.description = "Device node of the host"},
	{.name = "deny-write",
		BOOLEAN("0"),
		.description = "Whether the container may only read from the device"},
	{.name = "gid",
		INTEGER(0, GUEST_ID_MAX),
		.default_value = "0",
		.description = "Group of the device node, as an id inside the container"},
	{.name = "mode",
		.check = format_octal_mode,
		.default_value = "0660",
		.format_description = "<0NNN>",
		.description = "Access mode of the device node"},
	{.name = "uid",
		INTEGER(0, GUEST_ID_MAX),
		.default_value = "0",
		.description = "Owner of the device node, as an id inside the container"},
	{.name = NULL},
};

const SchemaOption ct_startup_props[] = {
	{.name = "order",
		INTEGER(0, 1e9),
		.flags = SCHEMA_DEFAULT_KEY,
		.description = "Place in the order of start; shutdown is in reverse"},
	{.name = "up",
		INTEGER(0, 1e9),
		.format_description = "<seconds>",
		.description = "Seconds to wait after the start before the next guest"},
	{.name = "down",
		INTEGER(0, 1e9),
		.format_description = "<seconds>",
		.description = "Seconds that the guest has for its shutdown"},
	{.name = NULL},
};

const SchemaOption ct_options[] = {
	{.name = "arch",
		.type = SCHEMA_ENUM,
		.values = arch_values,
		.default_value = "amd64",
		.description = "Architecture of the container's programs"},
	{.name = "cmode",
		.type = SCHEMA_ENUM,
		.values = cmode_values,
		.default_value = "tty",
		.description =
			"What the console command attaches to: a tty, /dev/console or a shell"},
	{.name = "console",
		BOOLEAN("1"),
		.description = "Whether the container has a /dev/console"},
	{.name = "cores",
		INTEGER(1, 8192),
		.description = "Number of CPUs that the container may use; all when not given"},
	{.name = "cpulimit",
		.type = SCHEMA_NUMBER,
		.limited = true,
		.min = 0,
		.max = 8192,
		.default_value = "0",
		.description =
			"CPU time the container may use, as a number of CPUs; 0 is no limit"},
	{.name = "cpuunits",
		INTEGER(0, 500000),
		.description =
			"Weight in the distribution of CPU time; by default 100 on hosts with "
			"cgroup v2 and 1024 on others"},
	{.name = "debug", BOOLEAN("0"), .description = "Whether a start writes a verbose LXC log"},
	{.name = "description", .length_max = 8192, .description = "Notes about the container"},
	{.name = "dev",
		.type = SCHEMA_PROPS,
		.n_index = CT_DEV_MAX,
		.props = ct_dev_props,
		.description = "Device of the host that the container may use"},
	{.name = "entrypoint",
		.check = format_command_line,
		.default_value = "/sbin/init",
		.format_description = "<command>",
		.description = "Command line of the container's first process"},
	{.name = "env",
		.flags = SCHEMA_LINES,
		.check = format_environment,
		.format_description = "<NAME=VALUE>",
		.description =
			"Environment variables of the container's first process, one on a line; "
			"may be given several times"},
	{.name = "features",
		.type = SCHEMA_PROPS,
		.props = ct_features_props,
		.description = "What the container may do beyond the usual"},
	{.name = "hookscript",
		.check = format_volume_id,
		.format_description = "<volume>",
		.description = "Snippet that is run at the steps of the container's life"},
	{.name = "hostname",
		.check = format_dns_name,
		.length_max = 255,
		.description = "Host name of the container; CT and its id when not given"},
	{.name = "lock",
		.type = SCHEMA_ENUM,
		.values = lock_values,
		.description = "Operation that has locked the container"},
	{.name = "memory",
		INTEGER(16, MEMORY_MIB_MAX),
		.default_value = "512",
		.description = "Memory in MiB"},
	{.name = "mp",
		.type = SCHEMA_PROPS,
		.n_index = CT_MP_MAX,
		.props = ct_mp_props,
		.description = "Mount point: a further volume, directory or device"},
	{.name = "nameserver",
		.flags = SCHEMA_LIST,
		.check = format_nameserver_list,
		.canonical = canonical_space_list,
		.format_description = "<address[,address...]>",
		.description = "DNS servers; those of the host when not given"},
	{.name = "net",
		.type = SCHEMA_PROPS,
		.n_index = CT_NET_MAX,
		.props = ct_net_props,
		.description = "Network interface"},
	{.name = "onboot",
		BOOLEAN("0"),
		.description = "Whether the container starts with its node"},
	{.name = "ostype",
		.type = SCHEMA_ENUM,
		.values = ostype_values,
		.description = "Distribution inside, which decides how its files are set up; "
			       "unmanaged leaves them alone"},
	{.name = "protection",
		BOOLEAN("0"),
		.description = "Whether the container and its volumes are safe from removal"},
	{.name = "rootfs",
		.type = SCHEMA_PROPS,
		.props = ct_rootfs_props,
		.description = "Root volume"},
	{.name = "searchdomain",
		.flags = SCHEMA_LIST,
		.check = format_dns_name_list,
		.canonical = canonical_space_list,
		.format_description = "<domain[,domain...]>",
		.description = "DNS search domains; those of the host when not given"},
	{.name = "startup",
		.type = SCHEMA_PROPS,
		.props = ct_startup_props,
		.description = "Order and delays of start and shutdown with the node"},
	{.name = "swap",
		INTEGER(0, MEMORY_MIB_MAX),
		.default_value = "0",
		.description = "Swap in MiB; a new container gets 512 when not given"},
	{.name = "tags",
		.flags = SCHEMA_LIST,
		.check = format_tags,
		.canonical = canonical_tags,
		.format_description = "<tag[;tag...]>",
		.description = "Labels of the container, without further meaning"},
	{.name = "template",
		BOOLEAN("0"),
		.description = "Whether the container is a template for others and never starts"},
	{.name = "timezone",
		.check = format_timezone,
		.format_description = "<host | zone>",
		.description = "Time zone inside; host follows the node's"},
	{.name = "tty",
		INTEGER(0, 6),
		.default_value = "2",
		.description = "Number of ttys in the container"},
	{.name = "unprivileged",
		BOOLEAN("0"),
		.description =
			"Whether the container runs in a user namespace; a new container does "
			"when not given, and it cannot be changed later"},
	{.name = "unused",
		.type = SCHEMA_PROPS,
		.n_index = CT_UNUSED_MAX,
		.props = ct_unused_props,
		.description = "Volume that belongs to the container but is not used"},
	/* Written by snapshot operations only. */
	{.name = "parent",
		.flags = SCHEMA_HIDDEN,
		.length_max = 40,
		.description = "Snapshot that the state derives from"},
	{.name = "snaptime",
		INTEGER(0, 1e15),
		.flags = SCHEMA_HIDDEN,
		.description = "When the snapshot was made, in seconds since 1970"},
	{.name = "snapstate",
		.type = SCHEMA_ENUM,
		.flags = SCHEMA_HIDDEN,
		.values = snapstate_values,
		.description = "State of an unfinished snapshot"},
	{.name = NULL},
};

int ct_id_parse(const char *text, unsigned *ret_id, GError **err)
{
	guint64 id;

	assert(text);
	assert(ret_id);

	if (text[0] == '0' ||
		!g_ascii_string_to_unsigned(text, 10, CT_ID_MIN, CT_ID_MAX, &id, NULL))
		return err_set(err, EINVAL,
			"'%s' is not a CTID: a number from %u to %u without leading "
			"zero",
			text, CT_ID_MIN, CT_ID_MAX);

	*ret_id = (unsigned)id;
	return 0;
}
