/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest/interfaces.h"

#include <string.h>

#include "agent/guest/guestnet.h"
#include "agent/guest/marked.h"
#include "base/macro.h"

/* The file is read into a list of items and printed again:
 *
 *	text item	one line as it was: comments, blank lines, `auto`, stanzas of others
 *	stanza item	`iface NAME inet|inet6 …` of an interface of ours, with its option lines
 *
 * A stanza ends at a blank line, at the next keyword that starts one (interfaces(5)) or at the end
 * of the file.  A comment at the start of a line inside a stanza of ours moves in front of it; an
 * indented one belongs to the options. */

typedef struct Item {
	char *text;          /* NULL: a stanza. */
	const GuestNet *net; /* Stanza only, borrowed. */
	GuestNetFamily family;
	GPtrArray *options; /* Stanza only: lines without indentation. */
} Item;

typedef struct Rewrite {
	GPtrArray *nets;       /* Those with an address setting. */
	GPtrArray *items;      /* Of Item*. */
	GHashTable *automatic; /* Names that an `auto` line has. */
	Item *open;            /* The stanza that option lines go to, NULL: none. */
	unsigned flags;
	GString *out;
} Rewrite;

static void item_free(Item *item)
{
	g_free(item->text);
	if (item->options)
		g_ptr_array_unref(item->options);
	g_free(item);
}

static Item *item_new_text(const char *line)
{
	Item *item = g_new0(Item, 1);

	item->text = g_strdup(line);
	return item;
}

static const GuestNet *find_net(const GPtrArray *nets, const char *name)
{
	for (unsigned i = 0; i < nets->len; i++) {
		const GuestNet *net = nets->pdata[i];

		if (str_equal(net->name, name))
			return net;
	}

	return NULL;
}

static Item *add_stanza(Rewrite *rewrite, const GuestNet *net, GuestNetFamily family)
{
	Item *item = g_new0(Item, 1);

	item->net = net;
	item->family = family;
	item->options = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(rewrite->items, item);
	return item;
}

static bool has_stanza(const Rewrite *rewrite, const GuestNet *net, GuestNetFamily family)
{
	for (unsigned i = 0; i < rewrite->items->len; i++) {
		const Item *item = rewrite->items->pdata[i];

		if (item->net == net && item->family == family)
			return true;
	}

	return false;
}

/* The words of a line, without empty ones; free with g_ptr_array_unref. */
static GPtrArray *split_words(const char *line)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) parts = g_strsplit_set(line, " \t\r\f", -1);

	for (char **part = parts; *part; part++)
		if (**part)
			g_ptr_array_add(words, g_strdup(*part));

	return words;
}

static bool starts_stanza(const char *word)
{
	static const char *const keywords[] = {"iface", "mapping", "auto", "source",
		"source-directory", "rename", "template", NULL};

	return g_strv_contains(keywords, word) || g_str_has_prefix(word, "allow-") ||
	       g_str_has_prefix(word, "no-auto-down") || g_str_has_prefix(word, "no-scripts");
}

static void read_keyword(Rewrite *rewrite, const char *line, const GPtrArray *words)
{
	const char *keyword = words->pdata[0];
	const GuestNet *net = NULL;

	if (str_equal(keyword, "auto"))
		for (unsigned i = 1; i < words->len; i++)
			g_hash_table_add(rewrite->automatic, g_strdup(words->pdata[i]));

	rewrite->open = NULL;
	if (str_equal(keyword, "iface") && words->len == 4)
		net = find_net(rewrite->nets, words->pdata[1]);

	if (net && str_equal(words->pdata[2], "inet"))
		rewrite->open = add_stanza(rewrite, net, GUEST_NET_V4);
	else if (net && str_equal(words->pdata[2], "inet6"))
		rewrite->open = add_stanza(rewrite, net, GUEST_NET_V6);
	else
		g_ptr_array_add(rewrite->items, item_new_text(line));
}

static void read_option(Item *stanza, const char *line, const char *word)
{
	static const char *const ours[] = {"address", "netmask", "gateway", "broadcast", NULL};
	g_autofree char *option = NULL;

	if (g_strv_contains(ours, word))
		return;

	option = g_strstrip(g_strdup(line));
	g_ptr_array_add(stanza->options, g_steal_pointer(&option));
}

static void read_line(Rewrite *rewrite, const char *line)
{
	g_autoptr(GPtrArray) words = split_words(line);

	if (words->len == 0) {
		/* Each stanza is printed with a blank line behind it: this one is accounted for. */
		if (!rewrite->open)
			g_ptr_array_add(rewrite->items, item_new_text(line));
		rewrite->open = NULL;
	} else if (*line == '#') {
		g_ptr_array_insert(rewrite->items,
			rewrite->open ? (int)rewrite->items->len - 1 : -1, item_new_text(line));
	} else if (starts_stanza(words->pdata[0])) {
		read_keyword(rewrite, line, words);
	} else if (rewrite->open) {
		read_option(rewrite->open, line, words->pdata[0]);
	} else {
		g_ptr_array_add(rewrite->items, item_new_text(line));
	}
}

static void read_file(Rewrite *rewrite, const char *old)
{
	g_auto(GStrv) lines = g_strsplit(old, "\n", -1);

	for (char **line = lines; *line; line++)
		if (line[1] || **line) /* Not what follows the last newline. */
			read_line(rewrite, *line);
}

/* The lines that make a gateway reachable which the interface's own network does not hold. */
static GPtrArray *gateway_routes(const char *gateway, const char *name)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(lines, g_strdup_printf("post-up ip route add %s dev %s", gateway, name));
	g_ptr_array_add(lines,
		g_strdup_printf("post-up ip route add default via %s dev %s", gateway, name));
	g_ptr_array_add(lines,
		g_strdup_printf("pre-down ip route del default via %s dev %s", gateway, name));
	g_ptr_array_add(lines, g_strdup_printf("pre-down ip route del %s dev %s", gateway, name));
	return lines;
}

/* Whether options[at …] are the route lines of some gateway, written before they were marked. */
static bool routes_at(const GPtrArray *options, unsigned at, const char *name)
{
	g_autoptr(GPtrArray) words = split_words(options->pdata[at]);
	g_autoptr(GPtrArray) routes = NULL;

	/* post-up ip route add GATEWAY dev NAME */
	if (words->len != 7)
		return false;

	routes = gateway_routes(words->pdata[4], name);
	for (unsigned i = 0; i < routes->len; i++)
		if (at + i >= options->len || !str_equal(options->pdata[at + i], routes->pdata[i]))
			return false;
	return true;
}

/* Takes the route lines of earlier runs out of the options that are kept. */
static void drop_routes(GPtrArray *options, const char *name)
{
	bool inside = false;

	for (unsigned i = 0; i < options->len;) {
		bool end = marked_is_end(options->pdata[i]);

		if (marked_is_begin(options->pdata[i]))
			inside = true;
		if (inside || end) {
			g_ptr_array_remove_index(options, i);
			inside = inside && !end;
		} else if (routes_at(options, i, name)) {
			g_ptr_array_remove_range(options, i, 4);
		} else {
			i++;
		}
	}
}

static void print_gateway(GString *out, const GuestNet *net, const GuestNetAddress *address)
{
	g_autoptr(GPtrArray) routes = NULL;

	if (!address->gateway_routed) {
		g_string_append_printf(out, "\tgateway %s\n", address->gateway);
		return;
	}

	routes = gateway_routes(address->gateway, net->name);
	g_string_append(out, "\t" MARKED_BEGIN "\n");
	for (unsigned i = 0; i < routes->len; i++)
		g_string_append_printf(out, "\t%s\n", (const char *)routes->pdata[i]);
	g_string_append(out, "\t" MARKED_END "\n");
}

static void print_static(Rewrite *rewrite, const Item *item, const GuestNetAddress *address)
{
	GString *out = rewrite->out;

	if (rewrite->flags & INTERFACES_CIDR) {
		g_string_append_printf(out, "\taddress %s/%u\n", address->address, address->prefix);
	} else if (item->family == GUEST_NET_V6) {
		g_string_append_printf(
			out, "\taddress %s\n\tnetmask %u\n", address->address, address->prefix);
	} else {
		g_autofree char *netmask = guest_net_dup_netmask(address->prefix);

		g_string_append_printf(
			out, "\taddress %s\n\tnetmask %s\n", address->address, netmask);
	}

	if (address->gateway)
		print_gateway(out, item->net, address);
}

static const char *printed_mode(const Rewrite *rewrite, const Item *item)
{
	const char *mode = item->net->addresses[item->family].mode;

	if (item->family == GUEST_NET_V6 && rewrite->flags & INTERFACES_V6_STATIC &&
		!str_equal(mode, "static"))
		return "manual";
	return mode;
}

static void print_stanza(Rewrite *rewrite, const Item *item)
{
	const char *name = item->net->name;
	const GuestNetAddress *address = &item->net->addresses[item->family];

	if (g_hash_table_add(rewrite->automatic, g_strdup(name)))
		g_string_append_printf(rewrite->out, "auto %s\n", name);
	if (!address->mode)
		return;

	g_string_append_printf(rewrite->out, "iface %s %s %s\n", name,
		item->family == GUEST_NET_V4 ? "inet" : "inet6", printed_mode(rewrite, item));
	if (address->address) {
		print_static(rewrite, item, address);
		drop_routes(item->options, name);
		for (unsigned i = 0; i < item->options->len; i++)
			g_string_append_printf(
				rewrite->out, "\t%s\n", (const char *)item->options->pdata[i]);
	}
	g_string_append_c(rewrite->out, '\n');
}

/* The stanzas that the file lacks go to its end, apart from what is there. */
static void add_missing(Rewrite *rewrite)
{
	bool separated = false;

	for (unsigned i = 0; i < rewrite->nets->len; i++) {
		const GuestNet *net = rewrite->nets->pdata[i];

		for (unsigned family = 0; family < GUEST_NET_N_FAMILIES; family++) {
			const Item *last = rewrite->items->len
						   ? rewrite->items->pdata[rewrite->items->len - 1]
						   : NULL;

			if (!net->addresses[family].mode || has_stanza(rewrite, net, family))
				continue;
			if (!separated && last && last->text && *last->text)
				g_ptr_array_add(rewrite->items, item_new_text(""));
			separated = true;
			(void)add_stanza(rewrite, net, family);
		}
	}
}

char *interfaces_rewrite(const char *old, const GPtrArray *nets, unsigned flags)
{
	g_autoptr(GPtrArray) configured = g_ptr_array_new();
	g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify)item_free);
	g_autoptr(GHashTable) automatic =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Rewrite rewrite = {
		.nets = configured,
		.items = items,
		.automatic = automatic,
		.flags = flags,
	};

	assert(old && nets);

	for (unsigned i = 0; i < nets->len; i++)
		if (guest_net_is_configured(nets->pdata[i]))
			g_ptr_array_add(configured, nets->pdata[i]);
	if (configured->len == 0)
		return NULL;

	read_file(&rewrite, old);
	add_missing(&rewrite);

	/* `auto` lines count wherever they stand, so that a later one is not doubled. */
	rewrite.out = g_string_new(NULL);
	if (!g_hash_table_contains(automatic, "lo"))
		g_string_append(rewrite.out,
			"auto lo\niface lo inet loopback\niface lo inet6 loopback\n\n");
	for (unsigned i = 0; i < items->len; i++) {
		const Item *item = items->pdata[i];

		if (item->text)
			g_string_append_printf(rewrite.out, "%s\n", item->text);
		else
			print_stanza(&rewrite, item);
	}

	return g_string_free(rewrite.out, FALSE);
}
